"""The output head of a saved model: its pooling and the modules on top; linear maps are saved as `Dense` modules.

`Dense.save` of sentence-transformers is not used: its config.json has options that earlier versions reject.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from probe.errors import ModelError
from probe.metrics.vectors import Embeddings
from surgery.saving.files import read_config, write_json

__all__ = ["DenseLayer", "OutputHead", "TopModule", "read_dense", "write_dense"]

_IDENTITY = "torch.nn.modules.linear.Identity"
_WEIGHTS = "model.safetensors"
_WEIGHT, _BIAS = "linear.weight", "linear.bias"


@dataclass(frozen=True)
class TopModule:
    """A sentence-transformers module after the pooling.

    Attributes:
        type: Its class; one of sentence-transformers by its bare name.
        write: Writes the module into an empty folder.
        is_unit: Whether its vectors have length 1.
        scale_free: Whether the length of its input changes only the length of its vectors: a linear map without bias.
    """

    type: str
    write: Callable[[Path], object] = lambda folder: None
    is_unit: bool = False
    scale_free: bool = False


@dataclass(frozen=True)
class OutputHead:
    """The output head of a saved model: everything after its blocks.

    Attributes:
        pooling: Pooling; `own` for all of the original's own modules.
        top: Modules that map the pooled vectors, which are scaled to length 1 before and after. The first scaling is
            left out where it changes no direction.
        words: Sentence on the training, for the model card.
        scores: Retrieval scores, in Markdown, for the model card.
    """

    pooling: str
    top: tuple[TopModule, ...] = ()
    words: str = "Nothing was trained."
    scores: str = ""


@dataclass(frozen=True)
class DenseLayer:
    """A linear map `x W + b`.

    Attributes:
        weight: W `(D, dim)`.
        bias: b `(dim,)`; None if it is zero.
    """

    weight: Embeddings
    bias: Embeddings | None = None

    @classmethod
    def of(cls, weight: Embeddings, bias: Embeddings) -> "DenseLayer":
        """Return a map without the bias if all of it is zero."""
        return cls(weight, bias if bias.any() else None)


def write_dense(dense: DenseLayer, folder: Path) -> None:
    """Write a map into an empty folder."""
    from safetensors.numpy import save_file

    width, dim = dense.weight.shape
    biased = dense.bias is not None
    config = {"in_features": width, "out_features": dim, "bias": biased, "activation_function": _IDENTITY}
    write_json(folder / "config.json", config)
    tensors = {_WEIGHT: np.ascontiguousarray(dense.weight.T)}
    save_file(tensors if dense.bias is None else {**tensors, _BIAS: dense.bias}, folder / _WEIGHTS)


def read_dense(folder: Path) -> DenseLayer:
    """Read a map written by `write_dense`, in float32.

    Raises:
        ModelError: The folder has none.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file  # numpy has no bfloat16

    try:
        tensors = {name: tensor.float().numpy() for name, tensor in load_file(folder / _WEIGHTS).items()}
        bias = tensors[_BIAS] if read_config(folder)["bias"] else None
        return DenseLayer(np.ascontiguousarray(tensors[_WEIGHT].T), bias)
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise ModelError(f"cannot read a linear map from {folder}: {error}") from error
