"""Store a saved model's weights in another dtype; whoever loads the folder computes in float32 all the same."""

import json
import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from probe.errors import CallError, ModelError, did_you_mean
from probe.io.model_files import list_modules
from probe.metrics.vectors import Embeddings
from surgery.saving.files import PROVENANCE, compute_float32, write_json
from surgery.saving.origin import read_origin

__all__ = [
    "StoredDtype",
    "VectorChange",
    "check_dtype",
    "check_storable",
    "describe_weights",
    "forget_weights",
    "is_rounded",
    "record_change",
    "store_weights",
    "stored_dtypes",
]

StoredDtype = Literal["float32", "float16", "bfloat16"]

_RECORD = "weights"
# Before the last paragraph of every model card.
_CARD, _END = "README.md", "\nMade with encoder-surgery"
# The largest rounding error of a single bfloat16 is half of it; a float16 has it only where it is subnormal.
_MAX_ERROR = 2**-8
_SHORT_NAMES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
_TABLE, _TABLE_TO_SCALE, _SCALES = "embedding.weight", "embeddings", "weights"


@dataclass(frozen=True)
class VectorChange:
    """How the vectors of a saved folder differ from those of the model in memory.

    Attributes:
        difference: Largest absolute difference.
        cosine: Smallest cosine of the two vectors of an input.
        spread: The same after the inputs' mean vector is subtracted; 1 if they all have the same vector.
        inputs: Number of inputs.
    """

    difference: float
    cosine: float
    spread: float
    inputs: int

    @classmethod
    def between(cls, before: Embeddings, after: Embeddings) -> "VectorChange":
        """Compare vectors `(N, D)` with those that rounded weights give."""
        first, second = before.astype(np.float64), after.astype(np.float64)
        mean = first.mean(axis=0)
        return cls(
            difference=float(np.abs(second - first).max()),
            cosine=_smallest_cosine(first, second),
            spread=_smallest_cosine(first - mean, second - mean, floor=1e-6 * float(np.abs(first).max())),
            inputs=len(first),
        )


def _smallest_cosine(first: Any, second: Any, floor: float = 0.0) -> float:
    norms = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    cosines = (first * second).sum(axis=1)[norms > floor**2] / norms[norms > floor**2]
    return float(min(1.0, cosines.min(initial=1.0)))


def check_dtype(dtype: str | None) -> None:
    """Check the name of a dtype for weights; None leaves them as they are.

    Raises:
        CallError: It is none of float32, float16 and bfloat16.
    """
    known = get_args(StoredDtype)
    if dtype is not None and dtype not in known:
        raise CallError(f"weights_dtype '{dtype}': {did_you_mean(str(dtype), known)}")


def check_storable(folder: Path, dtype: str | None) -> None:
    """Check before a training that a dtype can hold the weights it begins with; None can.

    Raises:
        CallError: The dtype is unknown.
        ModelError: It cannot.
    """
    from safetensors.torch import load_file

    check_dtype(dtype)
    for path in sorted(folder.rglob("*.safetensors")) if dtype else ():
        for name, tensor in load_file(path).items():
            _round(name, tensor, str(dtype))


def store_weights(folder: Path, dtype: str | None) -> None:
    """Rewrite all floating-point weights of a complete folder, and record their dtype in its surgery.json.

    Every config says float32, so that transformers and sentence-transformers compute in it. A table of static
    embeddings is loaded in the dtype of its file, unless the file has a factor per token, as those of model2vec
    have: it gets factors of 1.

    Args:
        folder: The folder of a saved model, which nobody else reads yet.
        dtype: The dtype; None changes nothing.

    Raises:
        CallError: The dtype is unknown.
        ModelError: Float16 cannot hold a tensor.
    """
    check_dtype(dtype)
    if dtype is None:
        return
    files = sorted(folder.rglob("*.safetensors"))
    before = _size(files)
    tables = {entry.folder for entry in list_modules(folder) if entry.name == "StaticEmbedding"}
    for path in files:
        _rewrite(path, dtype, is_table=path.parent in tables)
    for path in sorted(folder.rglob("config.json")):
        config = json.loads(path.read_text("utf-8"))
        if "model_type" in config:
            write_json(path, compute_float32(config))
    _record(folder, {"dtype": dtype, "bytes": _size(files), "bytes_before": before})


def _size(files: list[Path]) -> int:
    return sum(path.stat().st_size for path in files)


def _rewrite(path: Path, dtype: str, *, is_table: bool) -> None:
    from safetensors import safe_open
    from safetensors.torch import save_file

    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        rounded = {name: _round(name, tensor, dtype) for name, tensor in tensors.items()}
        if is_table and dtype != "float32":
            rounded = _with_scales(rounded)
        # The tensors are still in the file that is replaced.
        beside = path.with_suffix(".rounded")
        save_file(rounded, beside, metadata=metadata)
    os.replace(beside, path)


def _round(name: str, tensor: Tensor, dtype: str) -> Tensor:
    """Return a tensor in a dtype; integers are unchanged.

    Raises:
        ModelError: Its values are too large or too small for it.
    """
    if not tensor.is_floating_point():
        return tensor
    narrow = tensor.to(getattr(torch, dtype)).contiguous()
    exact, back = tensor.double(), narrow.double()
    if not torch.equal(exact.isfinite(), back.isfinite()):
        raise ModelError(
            f"tensor '{name}' has values up to {float(exact[exact.isfinite()].abs().max()):.2g}, and {dtype} ends at "
            f"{torch.finfo(narrow.dtype).max:.6g}: store the weights in bfloat16 or float32; nothing was saved"
        )
    lost = float(torch.linalg.vector_norm((back - exact).nan_to_num()))
    if lost > _MAX_ERROR * float(torch.linalg.vector_norm(exact.nan_to_num())):
        raise ModelError(
            f"tensor '{name}' has values as small as {float(exact[exact != 0].abs().min()):.1g}, of which {dtype} "
            "keeps few digits: store the weights in bfloat16 or float32; nothing was saved"
        )
    return narrow


def _with_scales(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return a table of static embeddings under the names of model2vec, with a factor per token."""
    renamed = {_TABLE_TO_SCALE if name == _TABLE else name: tensor for name, tensor in tensors.items()}
    tokens = renamed.get("mapping", renamed[_TABLE_TO_SCALE])
    return {_SCALES: torch.ones(len(tokens), dtype=renamed[_TABLE_TO_SCALE].dtype), **renamed}


def _record(folder: Path, facts: dict[str, Any] | None) -> None:
    known = {name: value for name, value in read_origin(folder).facts.items() if name != _RECORD}
    write_json(folder / PROVENANCE, known if facts is None else {**known, _RECORD: facts})


def _stored(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = read_origin(folder).facts.get(_RECORD) or {}
    return found


def stored_dtypes(files: Iterable[Path]) -> tuple[str, ...]:
    """Return the dtypes of the floating-point tensors in weight files; those in other formats are not read."""
    from safetensors import safe_open

    found = set()
    for path in files:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="np") as file:
                found |= {file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118
    return tuple(name for short, name in _SHORT_NAMES.items() if short in found)


def is_rounded(folder: Path) -> bool:
    """Return whether a folder's weights were stored in half precision."""
    return _stored(folder).get("dtype") in ("float16", "bfloat16")


def forget_weights(folder: Path) -> None:
    """Remove the record of the weights' dtype from a copied folder whose weights are new."""
    if _stored(folder):
        _record(folder, None)


def record_change(folder: Path, change: object) -> None:
    """Record in surgery.json and the card of a folder how its stored weights change the vectors.

    Args:
        folder: The folder; nothing is recorded unless `store_weights` was called on it.
        change: The result of the folder's check; anything but a `VectorChange` is no measurement.
    """
    facts = _stored(folder)
    if not facts:
        return
    if isinstance(change, VectorChange):
        measured = {"inputs": change.inputs, "min_cosine": change.cosine, "max_difference": change.difference}
        _record(folder, {**facts, **measured})
    card = folder / _CARD
    text = card.read_text("utf-8")
    head, end, tail = text.rpartition(_END)
    sentence = f"W{describe_weights(folder)[1:]}. They are loaded in float32, whatever is in the files."
    card.write_text(f"{head}\n{sentence}\n{end}{tail}" if end else f"{text}\n{sentence}\n", encoding="utf-8")


def describe_weights(folder: Path) -> str:
    """Return a line on a folder's stored dtype and what it changes; empty if none was asked for."""
    return ", ".join(_phrases(_stored(folder)))


def _phrases(facts: dict[str, Any]) -> Iterator[str]:
    if facts:
        yield f"weights in {facts['dtype']}: {facts['bytes_before'] / 1e6:.1f} -> {facts['bytes'] / 1e6:.1f} MB"
    if "min_cosine" in facts:
        # Rounded down, or the line would promise too much.
        cosine = math.floor(1e6 * facts["min_cosine"]) / 1e6
        yield (
            f"cosine to the model's vectors at least {cosine:.6f} on {facts['inputs']} inputs, largest difference "
            f"{facts['max_difference']:.1e}"
        )
