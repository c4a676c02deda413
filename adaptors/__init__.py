"""Train on top of encoders: fit, compare and save adaptors, fine-tune models, open any encoder by its spec."""

from importlib import import_module
from typing import Any

# Loaded on first use, so that `adaptors --help` stays light.
_HOMES = {
    "AdaptorModule": "modules.st_module",
    "FitPlan": "fitting.compare",
    "FittedMap": "maps.fit",
    "FittedModel": "fitting.fit",
    "HealOptions": "healing.trainer",
    "KINDS": "fitting.kinds",
    "LossOptions": "finetuning.loss_spec",
    "MapOptions": "maps.options",
    "Quantizer": "quantizing.quantizer",
    "SlimGoal": "slimming.goal",
    "SlimOptions": "slimming.options",
    "StaticModel": "static.model",
    "StaticOptions": "static.options",
    "TrainOptions": "fitting.options",
    "TuneOptions": "finetuning.options",
    "calibrate_quantizer": "quantizing.calibration",
    "compare_adaptors": "fitting.compare",
    "fit": "fitting.fit",
    "fit_kind": "fitting.compare",
    "fit_map": "maps.fit",
    "fit_static": "static.fit",
    "gate": "encoders.specs",
    "heal": "healing.heal",
    "list_losses": "finetuning.loss_list",
    "load_encoder": "encoders.specs",
    "load_quantizer": "quantizing.saved",
    "load_tuning_data": "rows.load",
    "make_tuning_loss": "finetuning.loss_build",
    "open_adapted": "encoders.folder",
    "rank": "encoders.specs",
    "save_adapted": "encoders.folder",
    "save_static": "static.save",
    "select_fit_data": "fitting.data",
    "slim": "slimming.slim",
    "tune": "finetuning.tune",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("probe.io.package_data").product_version()
    if name not in _HOMES:
        raise import_module("probe.errors").no_attribute(__name__, name, __all__)
    return getattr(import_module(f"adaptors.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
