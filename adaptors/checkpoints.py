"""Checkpoints of a training: whose they are, and which is the newest that is whole."""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from probe.errors import CallError

__all__ = ["check_fingerprint", "last_checkpoint"]

_log = logging.getLogger(__name__)

_FINGERPRINT = "fit.json"


def check_fingerprint(folder: Path, fingerprint: Mapping[str, Any]) -> None:
    """Refuse checkpoints of another training, and remember whose a folder's are.

    Args:
        folder: Where checkpoints go.
        fingerprint: Plain values that two trainings have in common only if one may go on with the other's.

    Raises:
        CallError: The folder holds those of another training.
    """
    path, told = folder / _FINGERPRINT, json.dumps(dict(fingerprint), sort_keys=True, indent=2)
    if path.exists() and path.read_text(encoding="utf-8") != told:
        raise CallError(f"{folder} holds checkpoints of another training: name an empty folder, or delete it")
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(told, encoding="utf-8")


def last_checkpoint(folder: Path) -> str | None:
    """Return the newest checkpoint that is whole; its state is written last."""
    found: Sequence[Path] = sorted(folder.glob("checkpoint-*"), key=lambda path: -int(path.name.rpartition("-")[2]))
    for path in found:
        try:
            json.loads((path / "trainer_state.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            _log.warning("%s is not whole: the one before it is taken", path)
            continue
        return str(path)
    return None
