"""Package data: tables shipped with this package, and versions of the libraries that affect numbers."""

import json
from collections.abc import Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from typing import Any

__all__ = ["LIBRARIES", "VECTOR_LIBRARIES", "library_versions", "product_version", "read_table"]

_PRODUCT = "encoder-surgery"
VECTOR_LIBRARIES = ("torch", "transformers", "tokenizers", "sentence-transformers", _PRODUCT)
LIBRARIES = (*VECTOR_LIBRARIES, "pytrec-eval-terrier")


@cache
def read_table(room: str, name: str) -> Any:
    """Return a JSON file of a room of `probe`, given without suffix; the value is shared, do not modify it."""
    return json.loads((files("probe") / room / f"{name}.json").read_text(encoding="utf-8"))


def library_versions(names: Sequence[str]) -> dict[str, str]:
    """Return the installed version of each package."""
    return {name: _version(name) for name in names}


def product_version() -> str:
    """Return the installed version of this package."""
    return _version(_PRODUCT)


@cache
def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
