"""Data of installed packages: the tables shipped with this one, and versions of those that decide numbers."""

import json
from collections.abc import Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from typing import Any

__all__ = ["LIBRARIES", "VECTOR_LIBRARIES", "library_versions", "read_reference"]

VECTOR_LIBRARIES = ("torch", "transformers", "tokenizers", "encoder-surgery")
LIBRARIES = (*VECTOR_LIBRARIES, "pytrec-eval-terrier")


@cache
def read_reference(name: str) -> Any:
    """Read one JSON file of `probe/tables`.

    Args:
        name: `catalog`, `published`, `beir` or `docstrings`.

    Returns:
        The parsed JSON; shared by all callers, so not to be changed.
    """
    return json.loads((files("probe") / "tables" / f"{name}.json").read_text(encoding="utf-8"))


def library_versions(names: Sequence[str]) -> dict[str, str]:
    """Return the installed versions by name."""
    return {name: _version(name) for name in names}


@cache
def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
