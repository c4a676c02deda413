"""Change encoders: cut, keep chosen blocks, fuse, pair, trim the vocabulary; save the result as a model."""

from importlib import import_module
from typing import Any

# Loaded on first use, so that `surgery --help` stays light.
_HOMES = {
    "FusedModel": "fusing.model",
    "FusedModule": "fusing.module",
    "Speed": "speed",
    "SpeedRatio": "speed",
    "cut": "cutting.cut",
    "fuse": "fusing.model",
    "inspect_model": "inspection",
    "keep": "cutting.cut",
    "measure_speed": "speed",
    "open_fused": "fusing.folder",
    "pair": "pairing.model",
    "save": "fusing.folder",
    "trim": "vocabulary.trim",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("probe.io.package_data").product_version()
    if name not in _HOMES:
        raise import_module("probe.errors").no_attribute(__name__, name, __all__)
    return getattr(import_module(f"surgery.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
