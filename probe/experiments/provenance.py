"""Settings that determine the numbers of a table, for its footer and JSON, as plain values."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from probe.data.dataset import TITLE_RULE, Dataset
from probe.data.texts import Documents
from probe.io.files import digest
from probe.io.package_data import LIBRARIES, VECTOR_LIBRARIES, library_versions
from probe.metrics.significance import CONFIDENCE, RESAMPLES
from probe.models.info import ModelProfile
from probe.models.tokenization import Role
from probe.store.keys import encoder_parts, shelf_parts

__all__ = [
    "dataset_settings",
    "differing_settings",
    "join_dataset_settings",
    "join_model_settings",
    "model_settings",
    "statistics_settings",
    "text_model_settings",
    "text_statistics_settings",
]

# Settings of a model that decide its vectors; what follows from the texts is not among them.
_MODEL_SETTINGS = (
    *("weights_sha256", "tokenizer_sha256", "query_prompt", "document_prompt", "max_tokens", "dtype", "device"),
    *("own_pooling", "similarity"),
)
_WORDS = {
    "weights_sha256": "weights",
    "tokenizer_sha256": "tokenizer",
    "query_prompt": "query prompt",
    "document_prompt": "document prompt",
    "max_tokens": "max tokens",
    "own_pooling": "own pooling",
}
# Characters of a hash or a prompt that are shown.
_SHOWN = 20
_SHARED = ("metric", "metrics", "baseline", "similarity")


def model_settings(
    model: ModelProfile, dataset: Dataset, truncated: tuple[int, int], *, token_budget: int
) -> dict[str, Any]:
    """Return a model's settings, with the key of its vectors of these texts.

    `truncated` is the number of truncated documents and queries.
    """
    sides = ((model.as_query, dataset.queries), (model.as_document, dataset.documents))
    settings = _model_parts(model, sides, token_budget)
    return {
        **settings,
        "similarity": model.similarity,
        "truncated_documents": truncated[0],
        "truncated_queries": truncated[1],
    }


def text_model_settings(
    model: ModelProfile, texts: Sequence[Documents], truncated: int, *, token_budget: int
) -> dict[str, Any]:
    """Return the same if all texts, possibly in several parts, use the document prompt."""
    settings = _model_parts(model, [(model.as_document, part) for part in texts], token_budget)
    del settings["query_prompt"], settings["document_prompt"]
    return {**settings, "prompt": model.document_prompt, "truncated_texts": truncated}


def _model_parts(model: ModelProfile, sides: Iterable[tuple[Role, Documents]], token_budget: int) -> dict[str, Any]:
    keys = [digest(shelf_parts(model, role, texts.text_hash, token_budget=token_budget)) for role, texts in sides]
    return {
        "name": model.source.name,
        "path": model.source.path,
        "hub_id": model.source.hub_id,
        "revision": model.source.revision,
        "layers": model.depth,
        "own_pooling": model.pooling,
        "query_prompt": model.query_prompt,
        "document_prompt": model.document_prompt,
        **encoder_parts(model, token_budget),
        "notes": list(model.notes),
        "vector_key": digest({"sides": keys}),
    }


def dataset_settings(dataset: Dataset) -> dict[str, Any]:
    """Return a data set's settings."""
    return {
        "name": dataset.name,
        "source": dataset.source or None,
        "split": dataset.split,
        "documents": len(dataset.documents),
        "queries": len(dataset.queries),
        "limited": dataset.limited,
        "whole_documents": dataset.whole[0] if dataset.whole else None,
        "whole_queries": dataset.whole[1] if dataset.whole else None,
        "images": dataset.images or None,
        "synthetic": dataset.synthetic or None,
        "text_sha256": dataset.text_hash,
        "qrels_sha256": dataset.qrels_hash,
        "defects": list(dataset.notices),
        "title_rule": TITLE_RULE,
        "id_rule": dataset.id_rule,
    }


def statistics_settings(seed: int) -> dict[str, Any]:
    """Return the methods of intervals and tests over queries."""
    return {
        "interval": f"{CONFIDENCE:.0%} percentile bootstrap over queries",
        "test": "two-sided paired randomisation over queries, uncorrected",
        "resamples": RESAMPLES,
        "seed": seed,
        "versions": library_versions(LIBRARIES),
    }


def text_statistics_settings(unit: str, test: str, seed: int, *, libraries: Sequence[str]) -> dict[str, Any]:
    """Return the methods of intervals and tests over texts or pairs.

    `unit` is the resampled unit; `libraries` are further libraries that affect the numbers.
    """
    return {
        "interval": f"{CONFIDENCE:.0%} percentile bootstrap over {unit}",
        "test": f"{test}, uncorrected",
        "resamples": RESAMPLES,
        "seed": seed,
        "versions": library_versions((*VECTOR_LIBRARIES, *libraries)),
    }


def join_model_settings(several: Mapping[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Return every model once, with what it truncated on all data sets."""
    found: dict[str, list[dict[str, Any]]] = {}
    for settings in several.values():
        for model in settings["models"]:
            found.setdefault(model["name"], []).append(model)
    return [
        {
            **models[0],
            **{key: sum(model[key] for model in models) for key in ("truncated_documents", "truncated_queries")},
            "vector_key": digest([model["vector_key"] for model in models]),
            "notes": list(dict.fromkeys(note for model in models for note in model["notes"])),
        }
        for models in found.values()
    ]


def _join_words(words: Mapping[str, str | None]) -> str | None:
    """Return what is true of all data sets once, and anything else with the name of its data set."""
    alike = dict.fromkeys(words.values())
    if len(alike) == 1:
        return next(iter(alike))
    return ", ".join(f"{name}: {one}" for name, one in words.items() if one)


def join_dataset_settings(several: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Return what stands for all data sets where a reader expects one."""
    values = list(several.values())
    limited = any(one["limited"] or one["whole_documents"] for one in values)
    return {
        **values[0],
        "name": ", ".join(several),
        "split": ", ".join(dict.fromkeys(one["split"] for one in values)),
        **{side: sum(one[side] for one in values) for side in ("documents", "queries")},
        **{
            f"whole_{s}": sum(one[f"whole_{s}"] or one[s] for one in values) if limited else None
            for s in ("documents", "queries")
        },
        "limited": any(one["limited"] for one in values),
        **{key: _join_words({name: one.get(key) for name, one in several.items()}) for key in ("synthetic", "source")},
        "text_sha256": digest([one["text_sha256"] for one in values]),
        "qrels_sha256": digest([one["qrels_sha256"] for one in values]),
        "defects": [f"{name}: {defect}" for name, one in several.items() for defect in one["defects"]],
        "id_rule": "; ".join(dict.fromkeys(one["id_rule"] for one in values)),
    }


def differing_settings(several: Mapping[str, dict[str, Any]]) -> list[str]:
    """Return, in words, in which settings of rankings, by data set, scores cannot have a common mean."""
    different = []
    for key in _SHARED:
        values = dict.fromkeys(str(one[key]) for one in several.values())
        if len(values) > 1:
            different.append(f"{key} ({_show_apart(values)})")
    seen: dict[tuple[str, str], dict[str, None]] = {}
    for one in several.values():
        for model in one["models"]:
            for key in _MODEL_SETTINGS:
                seen.setdefault((model["name"], key), {})[str(model.get(key))] = None
    return different + [
        f"{_WORDS.get(key, key)} of {name} ({_show_apart(found)})"
        for (name, key), found in seen.items()
        if len(found) > 1
    ]


def _show_apart(values: Iterable[str]) -> str:
    """Return different values, shortened where they still differ then."""
    whole = list(values)
    short = [value[:_SHOWN] for value in whole]
    return " / ".join(value or "none" for value in (short if len(set(short)) == len(whole) else whole))
