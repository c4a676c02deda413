"""Read encoders: layers, captures, poolings, data sets, search, metrics and leaderboards."""

from importlib import import_module
from typing import Any

# Loaded on first use, so that `import probe` (and `probe --help`) stays light.
_HOMES = {
    "POOLINGS": "pooling",
    "Capture": "capture",
    "ClassifyOptions": "classify_sweep",
    "Candidate": "ranking",
    "Dataset": "dataset",
    "LinearProbeConfig": "linear_probe",
    "Encoder": "encoder",
    "Evaluation": "evaluation",
    "Fusion": "fusions",
    "Hookpoint": "hookpoint",
    "HookpointEncoder": "encoders",
    "ImageFile": "image_file",
    "LabelledTexts": "labelled_texts",
    "LayerReader": "reader",
    "LayerStack": "layers",
    "Leaderboard": "leaderboard",
    "LoadOptions": "options",
    "Metric": "metrics",
    "ProbeError": "errors",
    "RankOptions": "ranking",
    "RunFusion": "fusions",
    "ScoredPairs": "scored_pairs",
    "SimilarityOptions": "similarity_sweep",
    "Store": "store",
    "TokenEncoder": "encoders",
    "classify_layers": "classify_sweep",
    "correlate_layers": "similarity_sweep",
    "evaluate": "sweep",
    "evaluate_late": "sweep",
    "find_layers": "layers",
    "fuse_runs": "run_fusion",
    "load_dataset": "dataset_loading",
    "load_labelled": "labelled_texts",
    "load_model": "loading",
    "load_pairs": "scored_pairs",
    "maxsim": "token_scores",
    "open_image": "image_file",
    "open_reader": "opening",
    "open_towers": "tower_ranking",
    "plot": "pictures",
    "rank": "ranking",
    "rank_layers": "ranking",
    "rank_towers": "tower_ranking",
    "select_hookpoints": "hookpoints",
    "truncate": "truncation",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'probe' has no attribute '{name}'")
    return getattr(import_module(f"probe.{_HOMES[name]}"), name)
