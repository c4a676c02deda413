"""The output head of a saved model: its pooling and the modules on top; linear maps are saved as `Dense` modules.

`Dense.save` of sentence-transformers is not used: its config.json has options that earlier versions reject.
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
    """A sentence-transformers module after the pooling.

    Attributes:
        type: Its class; one of sentence-transformers by its bare name.
        write: Writes the module into an empty folder.
    """

    type: str
    write: Callable[[Path], object] = lambda folder: None


@dataclass(frozen=True)
class OutputHead:
    """The output head of a saved model: everything after its blocks.

    Attributes:
        pooling: Pooling; `own` for all of the original's own modules.
        top: Modules that map the pooled vectors, which are scaled to length 1 before and after.
        words: Sentence on the training, for the model card.
        scores: Retrieval scores, in Markdown, for the model card.
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
    """Read a map written by `write_dense`, in float32.

    Raises:
        ModelError: The folder has none.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file  # numpy has no bfloat16

    try:
        tensors = {name: tensor.float().numpy() for name, tensor in load_file(folder / _WEIGHTS).items()}
        return DenseLayer(np.ascontiguousarray(tensors["linear.weight"].T), tensors["linear.bias"])
    except (OSError, SafetensorError, KeyError) as error:
        raise ModelError(f"cannot read a linear map from {folder}: {error}") from error
