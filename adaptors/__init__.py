"""Learn on top of encoders: fit adaptors, rank them, save them; turn any spec into what it names."""

from importlib import import_module
from typing import Any

# Loaded on first use, so that `adaptors --help` stays light.
_HOMES = {
    "Adapted": "adapted",
    "CollapseGuard": "regularizers",
    "FitData": "base",
    "FitTexts": "gathering",
    "KINDS": "kinds",
    "LadderPlan": "ladder",
    "LossOptions": "loss_spec",
    "TrainOptions": "train_options",
    "choose_texts": "gathering",
    "climb": "ladder",
    "fit_kind": "ladder",
    "fit_ladder": "ladder",
    "gather": "gathering",
    "list_losses": "loss_list",
    "load_tuning_data": "tuning_data",
    "make_tuning_loss": "loss_build",
    "open_adapted": "folder",
    "resolve_specs": "resolve",
    "save_adapted": "folder",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'adaptors' has no attribute '{name}'")
    return getattr(import_module(f"adaptors.{_HOMES[name]}"), name)
