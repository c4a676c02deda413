"""A linear map on top of a candidate, such as the principal axes of the full model's vectors."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor

from adaptors.fitting.closed_form import principal_axes, second_moments
from probe.encoding.protocols import Encoder
from probe.errors import CallError
from probe.metrics.vectors import Embeddings
from surgery.saving.files import write_json

__all__ = ["Basis", "fit_basis", "fold_basis"]

_MODULES, _WEIGHTS = "modules.json", "model.safetensors"


@dataclass(frozen=True, eq=False)
class Basis:
    """A linear map of vectors, such as a projection to fewer dimensions.

    Attributes:
        axes: The axes `(d, D)`; orthonormal if they are principal axes.
        labels: Split whose relevance labels they were trained on; `none`: unlabelled texts alone.
    """

    axes: NDArray[np.float32]
    labels: str = "none"

    def project(self, encoder: Encoder) -> Encoder:
        """Return an encoder with projected vectors."""
        return _Projected(encoder, self.axes)


@dataclass(frozen=True, eq=False)
class _Projected:
    """An encoder with projected vectors."""

    encoder: Encoder
    axes: NDArray[np.float32]

    def encode_query(self, texts: Sequence[str]) -> Embeddings:
        """Embed queries: float32 `(N, d)`."""
        return self.encoder.encode_query(texts) @ self.axes.T

    def encode_document(self, texts: Sequence[str]) -> Embeddings:
        """Embed documents: float32 `(N, d)`."""
        return self.encoder.encode_document(texts) @ self.axes.T


def fit_basis(vectors: Tensor, dims: int) -> Basis:
    """Return the first principal axes, without centring, of the full model's vectors.

    Args:
        vectors: Its vectors `(N, D)`.
        dims: Number of axes d.

    Raises:
        CallError: There are not as many dimensions, or texts.
    """
    most = min(vectors.shape)
    if not 0 < dims <= most:
        raise CallError(
            f"--dims {dims}: expected 1 to {most}, given {vectors.shape[1]} dimensions and {len(vectors)} texts"
        )
    _, axes = principal_axes(second_moments(vectors))
    return Basis(axes[:, :dims].T.contiguous().numpy())


def fold_basis(folder: Path, basis: Basis) -> None:
    """Multiply the last map of a saved candidate by another.

    The normalization between them would change no direction.
    """
    modules = json.loads((folder / _MODULES).read_text(encoding="utf-8"))
    part = folder / [module for module in modules if module["type"].rpartition(".")[2] == "Dense"][-1]["path"]
    axes = torch.from_numpy(basis.axes)
    # Weight (D, H) and bias (D,).
    tensors = {name: (axes @ tensor).contiguous() for name, tensor in load_file(part / _WEIGHTS).items()}
    save_file(tensors, part / _WEIGHTS, metadata={"format": "pt"})
    config: dict[str, Any] = json.loads((part / "config.json").read_text(encoding="utf-8"))
    write_json(part / "config.json", {**config, "out_features": len(axes)})
