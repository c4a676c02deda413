"""Change encoders: cut and keep blocks, save the result as an ordinary model."""

from importlib import import_module
from typing import Any

# Loaded on first use, so that `surgery --help` stays light.
_HOMES = {
    "cut": "cut",
    "inspect_model": "inspection",
    "keep": "cut",
    "save": "folder",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'surgery' has no attribute '{name}'")
    return getattr(import_module(f"surgery.{_HOMES[name]}"), name)
