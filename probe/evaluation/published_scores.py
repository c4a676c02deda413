"""Published scores, shown for rows with the same model, data set, split and settings."""

from probe.data.dataset import Dataset
from probe.io.package_data import read_table
from probe.metrics.retrieval import Metric
from probe.models.catalog import find_entry

__all__ = ["find_published"]


def find_published(hub_id: str | None, dataset: Dataset, metric: Metric) -> float | None:
    """Return the published score of a full model (or `bm25`) with its own settings, or None if unknown.

    Data sets are recognized by name and by their numbers of documents and queries.
    """
    table = read_table("evaluation", "published_scores")
    sizes = table["datasets"].get(dataset.name)
    ours = {"documents": len(dataset.documents), "queries": len(dataset.queries)}
    if hub_id is None or ours != sizes or (dataset.split, str(metric)) != (table["split"], table["metric"]):
        return None
    score = table["scores"].get(hub_id, {}).get(dataset.name)
    return None if score is None else float(score)


def uses_published_settings(hub_id: str, max_tokens: int, prompts: tuple[str, str]) -> bool:
    """Return whether a model runs with the settings of its published score, which are the catalog's."""
    entry = find_entry(hub_id)
    return entry is not None and (max_tokens, prompts) == (
        entry.max_tokens,
        (entry.query_prompt, entry.document_prompt),
    )
