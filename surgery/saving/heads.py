"""The head of a saved model: its pooling, and modules on top; linear maps as sentence-transformers' own.

`Dense.save` of sentence-transformers is not used: it names options in its config.json that earlier versions refuse.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from probe.errors import ModelError
from probe.metrics.vectors import Embeddings
from surgery.saving.files import write_json

__all__ = ["DenseLayer", "OutputHead", "TopModule", "read_dense", "write_dense"]

_IDENTITY = "torch.nn.modules.linear.Identity"
_WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class TopModule:
    """A module of sentence-transformers that comes after the pooling.

    Attributes:
        type: Its class: sentence-transformers' own by its bare name.
        write: Writes it into the empty folder it is given.
    """

    type: str
    write: Callable[[Path], object] = lambda folder: None


@dataclass(frozen=True)
class OutputHead:
    """The head of a saved model: all that comes after its blocks.

    Attributes:
        pooling: Its pooling; `own` for all the original's own modules.
        top: Modules that map the pooled vectors, scaled to length 1 before and after them.
        words: What was trained, for its card.
        scores: How it retrieves, in Markdown, for its card.
    """

    pooling: str
    top: tuple[TopModule, ...] = ()
    words: str = "Nothing was trained."
    scores: str = ""


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
    """Write a map into an empty folder."""
    from safetensors.numpy import save_file

    width, dim = dense.weight.shape
    config = {"in_features": width, "out_features": dim, "bias": True, "activation_function": _IDENTITY}
    write_json(folder / "config.json", config)
    tensors = {"linear.weight": np.ascontiguousarray(dense.weight.T), "linear.bias": dense.bias}
    save_file(tensors, folder / _WEIGHTS)


def read_dense(folder: Path) -> DenseLayer:
    """Read the map that `write_dense` wrote.

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
