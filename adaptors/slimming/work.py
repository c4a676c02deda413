"""The work folder of a search: finished steps, from which an interrupted search continues."""

import json
import logging
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from probe.io.files import replace_file

__all__ = ["WorkFolder"]

_log = logging.getLogger(__name__)
_SEARCH = "search.json"


@dataclass(frozen=True)
class WorkFolder:
    """A folder with a record per finished step.

    Attributes:
        folder: The folder.
    """

    folder: Path

    @classmethod
    def open(cls, folder: Path, search: Mapping[str, Any]) -> "WorkFolder":
        """Open the folder of a search; one of another search is emptied.

        Args:
            folder: The folder.
            search: Plain values that identify the search.
        """
        found = cls(folder)
        known = found.read(_SEARCH)
        if known is not None and known != dict(search):
            _log.warning("%s is of another search (other data or settings): starting anew", folder)
        if known != dict(search):
            found.delete()
        folder.mkdir(parents=True, exist_ok=True)
        found.write(_SEARCH, search)
        return found

    def path(self, name: str) -> Path:
        """Return the path of a file or subfolder."""
        return self.folder / name

    def read(self, name: str) -> dict[str, Any] | None:
        """Return a record; None if its step is not finished."""
        try:
            found: dict[str, Any] = json.loads(self.path(name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return found

    def write(self, name: str, values: Mapping[str, Any]) -> None:
        """Write a record; a step is finished when its record exists."""
        payload = json.dumps(dict(values), sort_keys=True, indent=2)
        replace_file(self.path(name), lambda scratch: scratch.write_text(payload, encoding="utf-8"))

    def empty(self, name: str) -> Path:
        """Return a subfolder that does not exist, deleting an unfinished one."""
        path = self.path(name)
        shutil.rmtree(path, ignore_errors=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def seconds(self) -> float:
        """Return the time that the finished steps took."""
        records = (self.read(str(path.relative_to(self.folder))) for path in self.folder.glob("*/round-*.json"))
        return float(sum(record.get("seconds", 0.0) for record in records if record))

    def delete(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)
