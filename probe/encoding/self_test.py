"""Self-test of a device: a few texts, encoded there and on the CPU, must have the same vectors.

Attention kernels of some devices give NaN with left padding, or vectors that change with the batch.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from probe.encoding.reader import LayerReader
from probe.errors import ModelError
from probe.layers.full_precision import full_precision
from probe.metrics.vectors import Embeddings
from probe.models.loaded import LoadedModel

__all__ = ["TEXTS", "TOLERANCE", "check_device", "compare_with_cpu"]

_WORDS = (
    "the",
    "layers",
    "of",
    "an",
    "encoder",
    "and",
    "what",
    "they",
    "know",
    "about",
    "a",
    "text",
    "12",
    "in",
    "Kyoto",
)
_LENGTHS = (1, 2, 3, 5, 12, 40, 90, 250)
# Of very different lengths, so that most of a batch is padding.
TEXTS = tuple(" ".join(_WORDS[(length + i * i) % len(_WORDS)] for i in range(length)) for length in _LENGTHS)

# Greatest distance of a vector from the CPU's float32, as a share of its length. Errors of products in half precision
# add up over the blocks; a wrong mask changes vectors by more.
TOLERANCE = {torch.float32: 1e-3, torch.float16: 0.03, torch.bfloat16: 0.1}

# The device that others are compared with.
_TRUSTED = "cpu"


def check_device(model: Any, make_reader: Callable[[Any], LayerReader]) -> None:
    """Compare a model that was loaded on another device than the CPU with the CPU.

    Image towers and encoders without layers are not compared.

    Args:
        model: The loaded model.
        make_reader: Returns a reader of a loaded model.

    Raises:
        ModelError: If the vectors differ by more than the tolerance of its dtype.
    """
    if isinstance(model, LoadedModel) and model.device.type != _TRUSTED and model.tower != "image":
        compare_with_cpu(model, make_reader)


def compare_with_cpu(model: LoadedModel, make_reader: Callable[[Any], LayerReader]) -> None:
    """Compare a model's vectors of a few texts with those on the CPU, where its weights are moved for the time.

    Raises:
        ModelError: If they differ by more than the tolerance of its dtype.
    """
    found = _embed_or_fail(make_reader(model))
    with _on_cpu(model), full_precision(model.module):
        expected = _embed(make_reader(replace(model, device=torch.device("cpu"))))
    apart, tolerance = _distance(found, expected), TOLERANCE[model.dtype]
    if not apart <= tolerance:  # also if it is NaN
        dtype = str(model.dtype).removeprefix("torch.")
        size = f"by {apart:.2%} of their length" if math.isfinite(apart) else "in values that are not finite"
        raise ModelError(
            f"'{model.source.name}' gives other vectors on {model.device} than on the CPU: they differ {size}, {dtype} "
            f"allows {tolerance:.2%}\nuse --attn eager, which avoids the device's attention kernels, or --device cpu"
        )


def _embed(reader: LayerReader) -> Embeddings:
    model = reader.model
    point = (model.depth, model.pooling or "mean")
    return reader.read(TEXTS, model.as_document, [point]).vectors[point]


def _embed_or_fail(reader: LayerReader) -> Embeddings | None:
    """Return the vectors, or None if they are refused; the same on the CPU then says whether that is the device's."""
    try:
        return _embed(reader)
    except ModelError:
        return None


def _distance(found: Embeddings | None, expected: Embeddings) -> float:
    """Return the greatest distance of a vector `(N, D)`, as a share of its expected length."""
    if found is None:
        return math.inf
    lengths = np.linalg.norm(expected, axis=1)
    return float((np.linalg.norm(found - expected, axis=1) / np.where(lengths > 0, lengths, 1)).max())


@contextmanager
def _on_cpu(model: LoadedModel) -> Iterator[None]:
    """Move a model to the CPU and back, in its own dtype: a copy in float32 might not fit."""
    others = [] if model.pipeline is None else list(model.pipeline)[1:]
    try:
        _move(model.module, others, "cpu")
        yield
    finally:
        _move(model.module, others, model.device)


def _move(module: nn.Module, others: list[nn.Module], device: str | torch.device) -> None:
    for one in (module, *others):
        one.to(device)
