"""What a tuning that is taken up again must have in common with the interrupted one."""

import hashlib
from dataclasses import asdict
from typing import Any

from adaptors.student import Student
from adaptors.tune_options import TuneOptions
from adaptors.tuning_data import TuningData

__all__ = ["fingerprint"]


def fingerprint(student: Student, data: TuningData, options: TuneOptions) -> dict[str, Any]:
    """Return plain values that two trainings have in common only if one may go on with the other's checkpoints.

    Args:
        student: What is trained, as it begins.
        data: The rows it is trained on.
        options: How.

    Returns:
        The values.
    """
    rows = hashlib.sha256()
    for row in data.rows:
        rows.update(repr(row).encode())
    weights = hashlib.sha256()
    for _, tensor in sorted(student.model.state_dict().items()):
        weights.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    goal = {"loss": options.goal.loss, "around": list(options.goal.around)}
    settings = {name: str(getattr(options.goal.settings, name)) for name in sorted(options.goal.settings.given())}
    return {
        "rows": rows.hexdigest(),
        "weights": weights.hexdigest(),
        "goal": {**goal, **settings},
        "scope": asdict(options.scope),
        "schedule": asdict(options.schedule),
        "hold_out": options.hold_out,
    }
