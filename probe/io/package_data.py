"""Data of installed packages: the tables shipped with this one, and versions of those that decide numbers."""

import json
from collections.abc import Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from typing import Any

__all__ = ["LIBRARIES", "VECTOR_LIBRARIES", "library_versions", "read_table"]

VECTOR_LIBRARIES = ("torch", "transformers", "tokenizers", "encoder-surgery")
LIBRARIES = (*VECTOR_LIBRARIES, "pytrec-eval-terrier")


@cache
def read_table(room: str, name: str) -> Any:
    """Read a JSON file that lies in a room of `probe`.

    Args:
        room: The room.
        name: The file, without its suffix.

    Returns:
        The parsed JSON; shared by all callers, so not to be changed.
    """
    return json.loads((files("probe") / room / f"{name}.json").read_text(encoding="utf-8"))


def library_versions(names: Sequence[str]) -> dict[str, str]:
    """Return the installed versions by name."""
    return {name: _version(name) for name in names}


@cache
def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
