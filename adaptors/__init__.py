"""Learn on top of encoders: fit adaptors, rank them, save them; turn any spec into what it names."""

from importlib import import_module
from typing import Any

# Loaded on first use, so that `adaptors --help` stays light.
_HOMES = {
    "AdaptedEncoder": "adapted",
    "CollapseGuard": "regularizers",
    "FitData": "gathering",
    "FitTexts": "gathering",
    "KINDS": "kinds",
    "FitPlan": "ladder",
    "LossOptions": "loss_spec",
    "TrainOptions": "train_options",
    "compare_adaptors": "ladder",
    "fit_adaptors": "ladder",
    "fit_kind": "ladder",
    "gather_states": "gathering",
    "list_losses": "loss_list",
    "load_tuning_data": "tuning_data",
    "make_tuning_loss": "loss_build",
    "open_adapted": "folder",
    "resolve_specs": "resolve",
    "save_adapted": "folder",
    "select_fit_data": "gathering",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'adaptors' has no attribute '{name}'")
    return getattr(import_module(f"adaptors.{_HOMES[name]}"), name)
