"""Change encoders: cut, keep chosen blocks, fuse; save the result as a model."""

from importlib import import_module
from typing import Any

# Loaded on first use, so that `surgery --help` stays light.
_HOMES = {
    "FusedModel": "fusing.model",
    "FusedModule": "fusing.module",
    "cut": "cutting.cut",
    "fuse": "fusing.model",
    "inspect_model": "inspection",
    "keep": "cutting.cut",
    "open_fused": "fusing.folder",
    "save": "fusing.folder",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'surgery' has no attribute '{name}'")
    return getattr(import_module(f"surgery.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
