"""One import for everything: the public names of `probe`, `surgery` and `adaptors`; and the command line."""

from importlib import import_module
from typing import Any

# `gate`, `load_encoder` and `rank` are those of adaptors, which know saved folders.
_HOMES = {name: package for package in ("probe", "surgery", "adaptors") for name in import_module(package).__all__}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("probe").__version__
    if name not in _HOMES:
        raise import_module("probe.errors").no_attribute(__name__, name, __all__)
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
