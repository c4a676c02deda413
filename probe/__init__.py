"""Read encoders: layers, captures, poolings, data sets, search, metrics and leaderboards."""

from importlib import import_module
from typing import Any

# Loaded on first use, so that `import probe` (and `probe --help`) stays light.
_HOMES = {
    "POOLINGS": "pooling",
    "Capture": "capture",
    "Contestant": "ranking",
    "Dataset": "dataset",
    "Encoder": "encoder",
    "Evaluation": "evaluation",
    "Fusion": "fusions",
    "Hookpoint": "hookpoint",
    "HookpointEncoder": "reader",
    "LayerReader": "reader",
    "LayerStack": "layers",
    "Leaderboard": "leaderboard",
    "LoadOptions": "profile",
    "Metric": "metrics",
    "ProbeError": "errors",
    "RankOptions": "ranking",
    "RunFusion": "fusions",
    "Store": "store",
    "evaluate": "sweep",
    "find_layers": "layers",
    "fuse_runs": "run_fusion",
    "load_dataset": "dataset",
    "load_model": "loading",
    "open_reader": "opening",
    "plot": "pictures",
    "rank": "ranking",
    "rank_layers": "ranking",
    "select_hookpoints": "reader",
    "truncate": "truncation",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'probe' has no attribute '{name}'")
    return getattr(import_module(f"probe.{_HOMES[name]}"), name)
