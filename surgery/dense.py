"""A linear map as sentence-transformers' own `Dense` module, which anybody's sentence-transformers applies."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from probe.encoder import Embeddings
from probe.errors import ModelError

__all__ = ["DenseLayer", "read_dense", "write_dense"]

_IDENTITY = "torch.nn.modules.linear.Identity"
_WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class DenseLayer:
    """A linear map `x W + b` of vectors of length 1.

    Attributes:
        weight: W `(D, dim)`.
        bias: b `(dim,)`.
    """

    weight: Embeddings
    bias: Embeddings


def write_dense(dense: DenseLayer, folder: Path) -> None:
    """Write a map into an empty folder.

    Args:
        dense: The map.
        folder: Where to.
    """
    from safetensors.numpy import save_file

    width, dim = dense.weight.shape
    config = {"in_features": width, "out_features": dim, "bias": True, "activation_function": _IDENTITY}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    tensors = {"linear.weight": np.ascontiguousarray(dense.weight.T), "linear.bias": dense.bias}
    save_file(tensors, folder / _WEIGHTS)


def read_dense(folder: Path) -> DenseLayer:
    """Read a map.

    Args:
        folder: Where `write_dense` wrote it.

    Returns:
        The map.

    Raises:
        ModelError: The folder holds none.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        tensors = load_file(folder / _WEIGHTS)
        return DenseLayer(np.ascontiguousarray(tensors["linear.weight"].T), tensors["linear.bias"])
    except (OSError, SafetensorError, KeyError) as error:
        raise ModelError(f"{folder} holds no linear map: {error}") from error
