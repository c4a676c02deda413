"""Learn on top of encoders: fit adaptors, rank them, save them; turn any spec into what it names."""

from importlib import import_module
from typing import Any

# Loaded on first use, so that `adaptors --help` stays light.
_HOMES = {
    "AdaptorModule": "modules.st_module",
    "AdaptedEncoder": "encoders.adapted",
    "CollapseGuard": "losses.regularizers",
    "FitData": "fitting.data",
    "FitTexts": "fitting.data",
    "KINDS": "fitting.kinds",
    "FitPlan": "fitting.compare",
    "LossOptions": "finetuning.loss_spec",
    "TrainOptions": "fitting.options",
    "compare_adaptors": "fitting.compare",
    "fit_adaptors": "fitting.compare",
    "fit_kind": "fitting.compare",
    "gather_states": "fitting.data",
    "list_losses": "finetuning.loss_list",
    "load_tuning_data": "rows.load",
    "make_tuning_loss": "finetuning.loss_build",
    "open_adapted": "encoders.folder",
    "resolve_specs": "encoders.specs",
    "save_adapted": "encoders.folder",
    "select_fit_data": "fitting.data",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'adaptors' has no attribute '{name}'")
    return getattr(import_module(f"adaptors.{_HOMES[name]}"), name)
