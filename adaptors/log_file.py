"""The file a training writes its facts to, one JSON object a line, that an interrupted training goes on with."""

import json
from dataclasses import asdict
from pathlib import Path

from adaptors.training_facts import TrainingFacts
from probe.errors import CallError
from probe.files import replace_file

__all__ = ["add_facts", "check_log", "drop_after"]

_BEGIN = '{"step": '


def check_log(file: Path) -> None:
    """Refuse a file that cannot hold a log, before the training.

    Args:
        file: One that is not there yet, or the log of an earlier training.

    Raises:
        CallError: There is no folder for it, or it holds something else.
    """
    if file.is_dir():
        raise CallError(f"the log '{file}' is a folder: expected a file")
    if not file.parent.is_dir():
        raise CallError(f"the log '{file}': there is no folder '{file.parent}'; make it first")
    _read(file)


def drop_after(file: Path, step: int) -> None:
    """Keep what a log says of the steps that are done.

    Args:
        file: The log; it need not be there.
        step: The last of these steps; 0 empties the log.

    Raises:
        CallError: The file holds something else.
        OSError: It cannot be written.
    """
    kept = "".join(line for number, line in _read(file) if number <= step)
    replace_file(file, lambda scratch: scratch.write_text(kept, encoding="utf-8"))


def add_facts(file: Path, facts: TrainingFacts) -> None:
    """Add a line, which is in the file when this returns.

    Args:
        file: The log.
        facts: What the line says.

    Raises:
        OSError: It cannot be written.
    """
    with file.open("a", encoding="utf-8") as log:
        log.write(json.dumps(asdict(facts)) + "\n")


def _read(file: Path) -> list[tuple[int, str]]:
    """Return the whole lines of a log with their steps."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines(keepends=True) if file.exists() else []
        if lines and not lines[-1].endswith("\n") and _BEGIN.startswith(lines[-1][: len(_BEGIN)]):
            lines.pop()  # half of it was written when the training was killed
        return [(int(json.loads(line)["step"]), line) for line in lines]
    except (ValueError, TypeError, KeyError) as error:
        raise CallError(f"'{file}' holds something else than the log of a training: name another file") from error
