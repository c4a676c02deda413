"""Whether a data set can answer the question: queries per split and kind, power, duplicates, lengths, give-aways."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from probe.data.dataset import Dataset, Defects
from probe.data.qrels import find_qrels, list_splits, read_judgements
from probe.data.sampling import SampleSize, sample
from probe.data.texts import chunks
from probe.errors import CallError, DataError
from probe.evaluation.bm25 import check_bm25, evaluate_bm25
from probe.metrics.duplicates import cluster_near_duplicates, signature
from probe.metrics.retrieval import Metric
from probe.sources.beir import find_records, find_root

__all__ = ["DataInspection", "KindOfQuery", "inspect_dataset", "inspection_rows"]

_EXAMPLES = 5
_METRIC = "ndcg@10"
# Larger corpora are sampled for BM25 and for lengths.
_MOST_DOCUMENTS = 20_000
# Normal quantiles of a two-sided test at .05 with a power of .8: 1.96 + 0.84.
_QUANTILES = 2.8
# Correlation of two encoders' scores per query. Neighbouring layers agree more, unlike models less.
_CORRELATION = 0.8
# Standard deviation of nDCG@10 per query where BM25 is not installed.
_TYPICAL_SPREAD = 0.4
# A difference between layers that is worth acting on.
_WANTED = 0.05


@dataclass(frozen=True)
class KindOfQuery:
    """Queries of one kind.

    Attributes:
        queries: Their number in the split.
        examples: The first texts.
    """

    queries: int
    examples: tuple[str, ...]


@dataclass(frozen=True)
class DataInspection:
    """What a data set can show.

    Attributes:
        verdict: Whether a choice between layers can be based on it, in one sentence.
        splits: Number of judged queries per split.
        kinds: Queries per kind, `unknown` where the data set does not say.
        smallest_difference: Smallest difference in mean nDCG@10 found with a probability of .8 at a level of .05.
        exact_duplicates: Documents whose text stands in an earlier document.
        near_duplicates: Documents with an equal or nearly equal one before them, of those sampled; None for images.
        truncated: Share of documents longer than the model's input; None for images or without a tokenizer.
        bm25_ndcg: nDCG@10 of BM25; None without the extra bm25, or with images.
        bm25_first: Share of queries for which BM25 puts a relevant document first.
        sampled: Number of documents that lengths and BM25 were measured on; None: all.
    """

    verdict: str
    splits: dict[str, int]
    kinds: dict[str, KindOfQuery]
    smallest_difference: float
    exact_duplicates: int
    near_duplicates: int | None
    truncated: float | None
    bm25_ndcg: float | None
    bm25_first: float | None
    sampled: int | None


def inspect_dataset(
    name: str, dataset: Dataset, *, count: Callable[[Sequence[str]], list[int]] | None, longest: int = 0
) -> DataInspection:
    """Measure what a data set can show.

    Args:
        name: Name or path of the data set, for its splits and kinds of query.
        dataset: The data set.
        count: Counts the tokens of texts; None: lengths are not measured.
        longest: Most tokens that the model reads.
    """
    part = dataset
    if len(dataset.documents) > _MOST_DOCUMENTS:
        part = sample(dataset, SampleSize(_MOST_DOCUMENTS))
    ndcg, first, spread = _score_bm25(part)
    equal = dataset.documents.equal_texts
    difference = _QUANTILES * spread * float(np.sqrt(2 * (1 - _CORRELATION) / len(dataset.queries)))
    return DataInspection(
        verdict=_judge(len(dataset.queries), difference),
        splits=_count_splits(name, dataset),
        kinds=_list_kinds(name, dataset),
        smallest_difference=round(difference, 4),
        exact_duplicates=len(equal.positions) - len(np.unique(equal.groups)),
        near_duplicates=None if dataset.images else _count_near(part),
        truncated=None if dataset.images or count is None else _share_truncated(part, count, longest),
        bm25_ndcg=ndcg,
        bm25_first=first,
        sampled=len(part.documents) if part is not dataset else None,
    )


def _count_near(dataset: Dataset) -> int:
    clusters = cluster_near_duplicates(signature(text) for _, text in dataset.documents)
    return len(clusters) - len(set(clusters))


def _judge(queries: int, difference: float) -> str:
    shows = f"{queries} queries show differences of {difference:.3f} {_METRIC} and more"
    if difference <= _WANTED:
        return f"enough to choose a layer: {shows}"
    return f"too few queries to choose a layer by small differences: {shows}; aim at {_WANTED}"


def _score_bm25(dataset: Dataset) -> tuple[float | None, float | None, float]:
    """Return BM25's score, how often it puts a relevant document first, and the spread of its scores."""
    if dataset.images:
        return None, None, _TYPICAL_SPREAD
    try:
        check_bm25()
    except CallError:
        return None, None, _TYPICAL_SPREAD
    metric = Metric.parse(_METRIC)
    found = evaluate_bm25(dataset, [metric])
    scores = found.scores[metric]
    first = [
        bool(found.leaders.get(query)) and docs.get(found.leaders[query][0], 0) > 0
        for query, docs in dataset.qrels.items()
    ]
    spread = float(scores.std(ddof=1)) if len(scores) > 1 else _TYPICAL_SPREAD
    # Where BM25 finds everything, or nothing, its spread says nothing about encoders.
    return round(float(scores.mean()), 4), round(float(np.mean(first)), 4), max(spread, _TYPICAL_SPREAD / 2)


def _share_truncated(dataset: Dataset, count: Callable[[Sequence[str]], list[int]], longest: int) -> float:
    longer = sum(
        tokens > longest for chunk in islice(chunks(dataset.documents, 1024), None) for tokens in count(chunk.texts)
    )
    return round(longer / len(dataset.documents), 4)


def _count_splits(name: str, dataset: Dataset) -> dict[str, int]:
    try:
        root = find_root(name)
        defects = Defects()
        return {
            split: len({judgement.query for judgement in read_judgements(find_qrels(root, split, defects), defects)})
            for split in list_splits(root)
        }
    except (CallError, DataError):
        # Not a folder, zip or URL: a data set with one split, or one that is known by name.
        return {dataset.split: len(dataset.queries)}


def _list_kinds(name: str, dataset: Dataset) -> dict[str, KindOfQuery]:
    known = dict(_read_kinds(name))
    kinds = [known.get(query, "unknown") for query in dataset.queries.ids]
    found: dict[str, KindOfQuery] = {}
    for kind, number in Counter(kinds).most_common():
        texts = (text for of, text in zip(kinds, dataset.queries.texts, strict=True) if of == kind)
        found[kind] = KindOfQuery(number, tuple(map(str, islice(texts, _EXAMPLES))))
    return found


def _read_kinds(name: str) -> Iterator[tuple[str, str]]:
    try:
        records = find_records(find_root(name), "queries")
    except (CallError, DataError):
        return
    for entry in records.entries():
        metadata = entry.record.get("metadata")
        if isinstance(metadata, dict) and metadata.get("kind"):
            yield entry.record["_id"], str(metadata["kind"])


def inspection_rows(found: DataInspection) -> dict[str, Any]:
    """Return the inspection as rows of a table, the verdict first."""
    measured = f" (measured on {found.sampled:,} documents)" if found.sampled else ""
    give_away = "not measured: pip install 'encoder-surgery[bm25]'"
    if found.bm25_ndcg is not None and found.bm25_first is not None:
        give_away = f"BM25 has {_METRIC} {found.bm25_ndcg:.3f}, a relevant document first for {found.bm25_first:.0%}"
    kinds = [
        f"{kind}: {one.queries}\n" + "\n".join(f"  {text}" for text in one.examples)
        for kind, one in found.kinds.items()
    ]
    truncated = "not measured" if found.truncated is None else f"{found.truncated:.1%} of documents{measured}"
    near = "" if found.near_duplicates is None else f"; {found.near_duplicates} equal or nearly equal{measured}"
    return {
        "verdict": found.verdict,
        "queries per split": ", ".join(f"{split} {number}" for split, number in found.splits.items()),
        "kinds of query": "\n".join(kinds),
        "smallest difference": f"{found.smallest_difference:.3f} {_METRIC} (power .8, level .05, paired; "
        f"correlation of two encoders {_CORRELATION} assumed)",
        "duplicates": f"{found.exact_duplicates} documents repeat an earlier one{near}",
        "longer than the input": truncated,
        "words give it away": f"{give_away}{measured if found.bm25_ndcg is not None else ''}",
    }
