"""Versions of the libraries that decide vectors and scores."""

from collections.abc import Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version

__all__ = ["LIBRARIES", "VECTOR_LIBRARIES", "library_versions"]

VECTOR_LIBRARIES = ("torch", "transformers", "tokenizers", "encoder-surgery")
LIBRARIES = (*VECTOR_LIBRARIES, "pytrec-eval-terrier")


def library_versions(names: Sequence[str]) -> dict[str, str]:
    """Return the installed versions by name."""
    return {name: _version(name) for name in names}


@cache
def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
