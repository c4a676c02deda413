"""Read encoders: layers ranked, classified, correlated and measured; encoders opened by name and scored."""

from importlib import import_module
from typing import Any

# Loaded on first use, so that `import probe` (and `probe --help`) stays light.
_HOMES = {
    "Capture": "layers.capture",
    "Dataset": "data.dataset",
    "DatasetMatrix": "results.matrix",
    "Encoder": "encoding.protocols",
    "GateGoal": "metrics.non_inferiority",
    "Hookpoint": "layers.hookpoint",
    "LayerReader": "encoding.reader",
    "Leaderboard": "results.leaderboard",
    "LoadOptions": "models.options",
    "Metric": "metrics.retrieval",
    "ProbeError": "errors",
    "RunOptions": "experiments.options",
    "StoragePlan": "evaluation.storage",
    "Store": "store.store",
    "build_dataset": "documents.build",
    "classify_layers": "experiments.classification",
    "correlate_layers": "experiments.similarity",
    "evaluate": "evaluation.evaluate",
    "gate": "experiments.gate",
    "join_leaderboards": "experiments.matrix",
    "load_dataset": "sources.loading",
    "load_encoder": "encoding.opening",
    "load_labelled_texts": "sources.labelled_texts",
    "load_model": "models.loading",
    "load_scored_pairs": "sources.scored_pairs",
    "measure_geometry": "experiments.geometry",
    "plot": "plots.picture",
    "rank": "experiments.specs",
    "rank_layers": "experiments.layers",
    "read_result": "results.load",
    "truncate": "encoding.truncation",
    "write_report": "report.page",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("probe.io.package_data").product_version()
    if name not in _HOMES:
        raise import_module("probe.errors").no_attribute(__name__, name, __all__)
    return getattr(import_module(f"probe.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
