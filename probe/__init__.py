"""Read encoders: layers, captures, poolings, data sets, search, metrics and leaderboards."""

from importlib import import_module
from typing import Any

# Loaded on first use, so that `import probe` (and `probe --help`) stays light.
_HOMES = {
    "POOLINGS": "layers.pooling",
    "Capture": "layers.capture",
    "ClassifyOptions": "experiments.classification",
    "Candidate": "experiments.ranking",
    "Dataset": "data.dataset",
    "LinearProbeConfig": "experiments.linear_probe",
    "Encoder": "encoding.encoder",
    "Evaluation": "evaluation.records",
    "Fusion": "evaluation.fusion",
    "Hookpoint": "layers.hookpoint",
    "HookpointEncoder": "encoding.encoders",
    "ImageFile": "data.images",
    "LabelledTexts": "data.labelled_texts",
    "LayerReader": "encoding.reader",
    "LayerStack": "layers.layer_stack",
    "Leaderboard": "results.leaderboard",
    "LoadOptions": "models.options",
    "Metric": "metrics.retrieval",
    "ProbeError": "errors",
    "RunOptions": "experiments.ranking",
    "RunFusion": "evaluation.fusion",
    "ScoredPairs": "data.scored_pairs",
    "SimilarityOptions": "experiments.similarity",
    "Store": "store.store",
    "TokenEncoder": "encoding.encoders",
    "classify_layers": "experiments.classification",
    "correlate_layers": "experiments.similarity",
    "evaluate": "evaluation.evaluate",
    "evaluate_late": "evaluation.evaluate",
    "find_layers": "layers.layer_stack",
    "fuse_runs": "metrics.run_fusion",
    "load_dataset": "data.loading",
    "load_labelled_texts": "data.labelled_texts",
    "load_model": "models.loading",
    "load_scored_pairs": "data.scored_pairs",
    "maxsim": "encoding.maxsim",
    "open_image": "data.images",
    "open_reader": "encoding.opening",
    "open_towers": "experiments.two_towers",
    "plot": "plots.picture",
    "rank": "experiments.ranking",
    "rank_layers": "experiments.ranking",
    "rank_towers": "experiments.two_towers",
    "select_hookpoints": "encoding.hookpoints",
    "truncate": "encoding.truncation",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'probe' has no attribute '{name}'")
    return getattr(import_module(f"probe.{_HOMES[name]}"), name)
