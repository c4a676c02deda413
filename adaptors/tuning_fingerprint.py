"""What a tuning that is taken up again must have in common with the interrupted one."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from torch import nn

from adaptors.student import Student
from adaptors.tune_options import Goal, TuneOptions
from adaptors.tuning_rows import Row

__all__ = ["fingerprint"]


def fingerprint(
    student: Student, rows: Sequence[Row], watched: Sequence[Row | str], options: TuneOptions
) -> dict[str, Any]:
    """Return plain values that two trainings have in common only if one may go on with the other's checkpoints.

    Args:
        student: What is trained, as it begins.
        rows: What it is trained on.
        watched: What chooses the epoch: held-out rows, and the texts they are looked for among.
        options: How.

    Returns:
        The values.
    """
    return {
        "rows": _hash_texts(map(repr, rows)),
        "watched": _hash_texts(map(repr, watched)),
        "weights": _hash_weights(student.model),
        "goal": _tell(options.goal),
        "scope": asdict(options.scope),
        "schedule": asdict(options.schedule),
        "hold_out": options.hold_out,
    }


def _tell(goal: Goal) -> dict[str, Any]:
    given = {name: getattr(goal.settings, name) for name in sorted(goal.settings.given())}
    told = {name: _hash_weights(value) if isinstance(value, nn.Module) else str(value) for name, value in given.items()}
    return {"loss": goal.loss, "around": list(goal.around), **told}


def _hash_texts(texts: Iterable[str]) -> str:
    found = hashlib.sha256()
    for text in texts:
        found.update(text.encode())
    return found.hexdigest()


def _hash_weights(model: nn.Module) -> str:
    found = hashlib.sha256()
    for _, tensor in sorted(model.state_dict().items()):
        found.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()
