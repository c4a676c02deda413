"""The teacher of a healing: what the cut says that it was cut from, unless another is named."""

import json
from pathlib import Path

from adaptors.finetuning.encoder import TrainableEncoder
from probe.errors import CallError
from surgery.saving.files import PROVENANCE

__all__ = ["find_teacher"]


def find_teacher(student: TrainableEncoder, named: str | None) -> str:
    """Return the model that an encoder learns from.

    Args:
        student: The encoder.
        named: What the caller names.

    Returns:
        The model that is named, or what the encoder's folder says it was cut from.

    Raises:
        CallError: Nothing is named, and the folder says nothing, or names a folder that is not there.
    """
    if named is not None:
        return named
    way_out = "name the full model with --teacher"
    if not (Path(student.name) / PROVENANCE).is_file():
        raise CallError(f"'{student.name}' does not say what it was cut from: {way_out}")
    origin = json.loads((Path(student.name) / PROVENANCE).read_text(encoding="utf-8"))
    found = origin.get("from")
    if not isinstance(found, str):
        kind = "is a fused model" if "fused" in origin else "does not say what it was cut from"
        raise CallError(f"'{student.name}' {kind}: {way_out}")
    is_folder = found.startswith((".", "/", "~")) or found.count("/") != 1
    if is_folder and not Path(found).is_dir():
        raise CallError(f"'{student.name}' was cut from '{found}', which is not there: {way_out}")
    return found
