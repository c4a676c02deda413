"""Hard negatives for training rows: documents near a query that are not relevant to it.

They are mined by sentence-transformers, without its progress bar and reproducibly for a seed.
"""

import math
import random
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from datasets import Dataset
from sentence_transformers import SentenceTransformer
from sentence_transformers.util import mine_hard_negatives

from adaptors.rows.load import TuningData
from adaptors.rows.rows import Pairwise, as_pairs, as_points
from probe.data.dataset import Defects
from probe.encoding.chunk_states import Progress, silent
from probe.errors import CallError, DataError, check_number

__all__ = ["MineOptions", "candidate_texts", "mine", "mine_negatives"]

_BATCH = 32
# Texts between two progress reports.
_PIECE = 16 * _BATCH
_DEEPEST = 1_000_000
# Most scores in memory at once.
_SCORES = 1 << 26


@dataclass(frozen=True)
class MineOptions:
    """Which documents near a query become its negatives.

    Attributes:
        num_negatives: Negatives per pair, including those of its row.
        range_min: Nearest documents within the margin to skip, as some may be relevant without a label.
        range_max: Nearest documents to consider, in addition to the largest number of positives of a query.
        relative_margin: Minimum distance of negatives below the query's lowest positive, as a share of its score; below
            0, negatives may score higher than the positive.
        seed: Random seed of the choice among the candidates.
    """

    num_negatives: int = 5
    range_min: int = 10
    range_max: int = 50
    relative_margin: float = 0.05
    seed: int = 0


def candidate_texts(data: TuningData) -> tuple[str, ...]:
    """Return the distinct, non-empty texts to search for negatives.

    For a data set these are its documents, for a file all documents of its rows.
    """
    if data.corpus is None:
        texts = [point.document for point in as_points(data.rows)]
    else:
        texts = [text for _, text in data.corpus.documents]
    return tuple(dict.fromkeys(filter(None, texts)))


def mine_negatives(
    data: TuningData,
    model: SentenceTransformer,
    corpus: Sequence[str],
    *,
    options: MineOptions | None = None,
    progress: Progress = silent,
) -> TuningData:
    """Give every pair the same number of negatives: those of its row first, then hard ones from a corpus.

    The query itself and its relevant documents in any row are never its negatives, regardless of case and white space.

    Args:
        data: Training rows, in any form.
        model: Model whose scores decide which documents are near a query.
        corpus: Candidates; the positives of all rows are candidates too.
        options: Which candidates may be used, and how many.
        progress: Called with the number of texts embedded.

    Returns:
        A pair-wise row for every pair with enough negatives; skipped pairs are among its defects.

    Raises:
        CallError: An option is out of range, the labels of the rows are scores, or every pair has enough negatives.
        DataError: No pair has enough negatives, or a row contradicts another.
    """
    options = options or MineOptions()
    _check(options)
    pairs = as_pairs(data.rows)
    if all(len(pair.negatives) >= options.num_negatives for pair in pairs):
        raise CallError(
            f"every pair of '{data.name}' already has {options.num_negatives} negatives or more: raise "
            "--num-negatives, or leave out --rounds"
        )
    mined = _mine_by_key(pairs, model, corpus, options=options, progress=progress)
    defects = Defects()
    rows = tuple(_complete_pairs(pairs, mined, options.num_negatives, seed=options.seed, defects=defects))
    if not rows:
        raise DataError(
            f"no pair of '{data.name}' has {options.num_negatives} negatives at ranks {options.range_min + 1} to "
            f"{options.range_max} among {len(corpus):,} documents:\nlower --relative-margin "
            f"({options.relative_margin:g}), --range-min or --num-negatives, or raise --range-max"
        )
    return replace(data, rows=rows, defects=(*data.defects, *defects.summarize()))


def _check(options: MineOptions) -> None:
    if options.num_negatives < 1:
        raise CallError(f"--num-negatives {options.num_negatives} is out of range: expected at least 1")
    check_number("--range-min", options.range_min, 0)
    check_number("--seed", options.seed, 0)
    check_number("--range-max", options.range_max, 1, most=_DEEPEST)
    if options.range_max - options.range_min < options.num_negatives:
        raise CallError(
            f"--range-max {options.range_max} is too small for {options.num_negatives} negatives after rank "
            f"{options.range_min}: expected at least {options.range_min + options.num_negatives}"
        )
    if not math.isfinite(options.relative_margin) or options.relative_margin >= 1:
        raise CallError(
            f"--relative-margin {options.relative_margin:g} is out of range: expected a share of the positive's score, "
            "below 1"
        )


def _mine_by_key(
    pairs: Sequence[Pairwise],
    model: SentenceTransformer,
    corpus: Sequence[str],
    *,
    options: MineOptions,
    progress: Progress,
) -> dict[str, list[str]]:
    """Return candidates by the key of their query; texts with the same key are represented by one of them."""
    queries: dict[str, str] = {}
    documents: dict[str, str] = {}
    for pair in pairs:
        queries.setdefault(_key(pair.query), pair.query)
        documents.setdefault(_key(pair.positive), pair.positive)
    for text in filter(str.strip, corpus):
        documents.setdefault(_key(text), text)
    asked = dict.fromkeys((queries[_key(pair.query)], documents[_key(pair.positive)]) for pair in pairs)
    mined = mine(list(asked), model, list(documents.values()), options=options, progress=progress)
    return {_key(query): found for query, found in mined.items()}


def _complete_pairs(
    pairs: Sequence[Pairwise], found: Mapping[str, Sequence[str]], count: int, *, seed: int, defects: Defects
) -> Iterator[Pairwise]:
    """Yield the pairs with `count` negatives: those of the row first, then drawn ones in the order of `found`."""
    rng = np.random.default_rng(seed)
    relevant: dict[str, set[str]] = {}
    for pair in pairs:
        relevant.setdefault(_key(pair.query), {"", _key(pair.query)}).add(_key(pair.positive))
    for pair in pairs:
        query = _key(pair.query)
        own = _pick_own(pair, relevant[query], count, defects=defects)
        others = list(_without(found.get(query, ()), relevant[query] | own.keys()).values())
        needed = count - len(own)
        if needed > len(others):
            defects.add(f"pairs with fewer than {count} negatives (skipped)", _locate(pair))
            continue
        drawn = np.sort(rng.choice(len(others), needed, replace=False))
        yield replace(pair, negatives=(*own.values(), *(others[number] for number in drawn)))


def _pick_own(pair: Pairwise, relevant: set[str], count: int, *, defects: Defects) -> dict[str, str]:
    own = _without(pair.negatives, relevant)
    if len(own) < len(pair.negatives):
        defects.add("pairs with a relevant, empty or duplicate negative (negative removed)", _locate(pair))
    if len(own) > count:
        defects.add(f"pairs with more than {count} negatives in their row (the first {count} used)", _locate(pair))
    return dict(list(own.items())[:count])


def _without(texts: Iterable[str], excluded: set[str]) -> dict[str, str]:
    """Return the first text of every key that is not excluded, by key."""
    unique: dict[str, str] = {}
    for text in texts:
        if _key(text) not in excluded:
            unique.setdefault(_key(text), text)
    return unique


def _locate(pair: Pairwise) -> str:
    return pair.location or f"'{pair.query[:40]}'"


def _key(text: str) -> str:
    """Return a key of a text that ignores case and white space."""
    return " ".join(text.split()).casefold()


def mine(
    pairs: Sequence[tuple[str, str]],
    model: SentenceTransformer,
    corpus: Sequence[str],
    *,
    options: MineOptions,
    progress: Progress,
) -> dict[str, list[str]]:
    """Draw distinct documents from the candidate negatives of distinct pairs.

    Queries and documents get the model's prompts. Returns, per query, one document more than `options.num_negatives`,
    nearest first, or fewer if there are not enough.
    """
    queries, positives = zip(*pairs, strict=True)
    with _silent_and_seeded(options.seed):
        mined = mine_hard_negatives(
            Dataset.from_dict({"query": queries, "documents": positives}),
            _Embedder(model, progress),  # type: ignore[arg-type]
            corpus=list(corpus),
            range_min=options.range_min,
            range_max=options.range_max,
            relative_margin=options.relative_margin,
            num_negatives=min(options.num_negatives + 1, options.range_max - options.range_min),
            sampling_strategy="random",
            output_format="labeled-list",
            batch_size=_BATCH,
            faiss_batch_size=max(1, _SCORES // len(corpus)),
            verbose=False,
        )
    # The first of a list is the positive.
    return {query: found[1:] for query, found in zip(mined["query"], mined["documents"], strict=True)}


class _Embedder:
    """The part of a model's interface that the miner uses, with progress reports instead of its bars."""

    def __init__(self, model: SentenceTransformer, progress: Progress) -> None:
        self.device = model.device
        self.similarity = model.similarity
        self.similarity_pairwise = model.similarity_pairwise
        self._model = model
        self._progress = progress

    def encode_document(self, texts: Sequence[str], **options: Any) -> Any:
        """Return the documents' vectors `(N, D)`."""
        return self._encode(self._model.encode_document, "mining documents", texts, options=options)

    def encode_query(self, texts: Sequence[str], **options: Any) -> Any:
        """Return the queries' vectors `(N, D)`."""
        return self._encode(self._model.encode_query, "mining queries", texts, options=options)

    def _encode(self, encode: Callable[..., Any], step: str, texts: Sequence[str], *, options: dict[str, Any]) -> Any:
        vectors = []
        for start in range(0, len(texts), _PIECE):
            piece = texts[start : start + _PIECE]
            vectors.append(encode(piece, **{**options, "show_progress_bar": False}))
            self._progress(step, len(piece), len(texts))
        return np.concatenate(vectors)


@contextmanager
def _silent_and_seeded(seed: int) -> Iterator[None]:
    """Hide the progress bar that the miner always shows, and seed the global random state that it uses."""
    home: Any = sys.modules[mine_hard_negatives.__module__]
    bar, state = home.trange, random.getstate()
    home.trange = partial(bar, disable=True)
    random.seed(seed)
    try:
        yield
    finally:
        home.trange = bar
        random.setstate(state)
