"""The teacher of a healing: the given model, or the original of the cut."""

import json
from pathlib import Path

from adaptors.finetuning.encoder import TrainableEncoder
from probe.errors import CallError
from surgery.saving.files import PROVENANCE

__all__ = ["find_teacher"]


def find_teacher(student: TrainableEncoder, named: str | None) -> str:
    """Return the teacher of an encoder.

    Args:
        student: The encoder.
        named: The teacher given by the caller, if any.

    Returns:
        The given teacher, or the original model recorded in the encoder's folder.

    Raises:
        CallError: No teacher is given, and the folder has no record of one or records a missing folder.
    """
    if named is not None:
        return named
    way_out = "give the full model with --teacher"
    record = student.folder / PROVENANCE
    origin = json.loads(record.read_text(encoding="utf-8")) if record.is_file() else {}
    is_copy = student.folder != Path(student.name)
    if is_copy and "fused" not in origin and len(origin.get("blocks", ())) >= origin.get("original_depth", 0):
        raise CallError(f"'{student.name}' has no record of its original model: {way_out}")
    found = origin.get("from")
    if not isinstance(found, str):
        kind = "is a fused model" if "fused" in origin else "has no record of its original model"
        raise CallError(f"'{student.name}' {kind}: {way_out}")
    is_folder = found.startswith((".", "/", "~")) or found.count("/") != 1
    if is_folder and not Path(found).is_dir():
        raise CallError(f"'{student.name}' was cut from '{found}', which was not found: {way_out}")
    return found
