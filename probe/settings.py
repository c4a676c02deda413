"""What decided the numbers of a table: everything that changes a vector or a score, as plain values."""

import hashlib
import json
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from probe.dataset import ID_RULE, TITLE_RULE, Dataset
from probe.profile import ModelProfile
from probe.statistics import CONFIDENCE, RESAMPLES

__all__ = ["dataset_settings", "model_settings", "statistics_settings", "vector_key"]

_LIBRARIES = ("torch", "transformers", "tokenizers", "pytrec-eval-terrier", "encoder-surgery")


def model_settings(model: ModelProfile, dataset: Dataset, truncated: tuple[int, int]) -> dict[str, Any]:
    """Return what a model contributes to the footer, with the key of its vectors on these texts.

    Args:
        model: The model.
        dataset: Whose texts it embeds.
        truncated: Documents and queries that were longer than it takes.

    Returns:
        Plain values.
    """
    vectors = {
        "weights_sha256": model.weights_hash,
        "config_sha256": model.config_hash,
        "tokenizer_sha256": model.tokenizer_hash,
        "query_prompt": model.query_prompt,
        "document_prompt": model.document_prompt,
        "max_tokens": model.max_tokens,
        "dtype": str(model.dtype).removeprefix("torch."),
        "device": model.device.type,
        "title_rule": TITLE_RULE,
    }
    return {
        "name": model.source.name,
        "hub_id": model.source.hub_id,
        "revision": model.source.revision,
        "layers": model.depth,
        "own_pooling": model.pooling,
        **vectors,
        "truncated_documents": truncated[0],
        "truncated_queries": truncated[1],
        "notes": list(model.notes),
        "vector_key": vector_key(vectors, dataset),
    }


def vector_key(vectors: dict[str, Any], dataset: Dataset) -> str:
    """Return a hash of everything but layer and pooling that changes a vector: equal keys, equal vectors.

    Args:
        vectors: The model's part.
        dataset: Whose texts are embedded.

    Returns:
        64 hexadecimal digits.
    """
    parts = {**vectors, "text_sha256": dataset.text_hash, "libraries": _versions()}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def dataset_settings(dataset: Dataset) -> dict[str, Any]:
    """Return what a data set contributes to the footer."""
    return {
        "name": dataset.name,
        "split": dataset.split,
        "documents": len(dataset.documents),
        "queries": len(dataset.queries),
        "limited": dataset.limited,
        "synthetic": dataset.synthetic or None,
        "text_sha256": dataset.text_hash,
        "qrels_sha256": dataset.qrels_hash,
        "defects": list(dataset.defects),
        "title_rule": TITLE_RULE,
        "id_rule": ID_RULE,
    }


def statistics_settings(seed: int) -> dict[str, Any]:
    """Return how intervals and tests were made."""
    return {
        "interval": f"{CONFIDENCE:.0%} percentile bootstrap over queries",
        "test": "two-sided paired randomisation over queries, uncorrected",
        "resamples": RESAMPLES,
        "seed": seed,
        "versions": _versions(),
    }


def _versions() -> dict[str, str]:
    return {name: _version(name) for name in _LIBRARIES}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
