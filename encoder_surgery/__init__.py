"""One import for everything: the public names of `probe`, `surgery` and `adaptors`; and the command line."""

from importlib import import_module
from typing import Any

# `load_encoder` is that of adaptors, which knows more kinds of encoders.
_HOMES = {name: package for package in ("probe", "surgery", "adaptors") for name in import_module(package).__all__}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'encoder_surgery' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
