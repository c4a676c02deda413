"""Hard negatives for training rows: documents near a query, none of them relevant to it."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from sentence_transformers import SentenceTransformer

from adaptors.rows.load import TuningData
from adaptors.rows.mining import MineOptions, mine
from adaptors.rows.rows import Pairwise, as_pairs, as_points
from probe.data.dataset import Defects
from probe.encoding.chunk_states import Progress, silent
from probe.errors import CallError, DataError

__all__ = ["MineOptions", "candidate_texts", "complete_pairs", "mine_negatives", "text_key"]


def candidate_texts(data: TuningData) -> tuple[str, ...]:
    """Return the texts that negatives are looked for among.

    Args:
        data: The rows.

    Returns:
        Of a data set its documents, of a file all documents of its rows; each text once, none empty.
    """
    return tuple(dict.fromkeys(text for text in _documents(data) if text))


def _documents(data: TuningData) -> Iterable[str]:
    if data.corpus is None:
        return (point.document for point in as_points(data.rows))
    return (text for _, text in data.corpus.documents)


def mine_negatives(
    data: TuningData,
    model: SentenceTransformer,
    corpus: Sequence[str],
    *,
    options: MineOptions | None = None,
    progress: Progress = silent,
) -> TuningData:
    """Give every pair the same number of negatives: its own first, then hard ones out of a corpus.

    Neither the query itself nor a document that any row says is relevant to it is its negative, in whatever case and
    white space it comes.

    Args:
        data: Rows to train on, of any form.
        model: Its scores decide which documents are near a query.
        corpus: Candidates; the positives of all rows are candidates too.
        options: Which of them may be taken, and how many.
        progress: Called with the number of texts embedded.

    Returns:
        A pair-wise row for every pair that enough were found for; what was left out is among its defects.

    Raises:
        CallError: An option is out of range, the labels of the rows are scores, or every pair has enough negatives.
        DataError: Too few negatives were found for every pair, or a row contradicts another.
    """
    options = options or MineOptions()
    _check(options)
    pairs = as_pairs(data.rows)
    if all(len(pair.negatives) >= options.count for pair in pairs):
        raise CallError(
            f"every pair of '{data.name}' has {options.count} negatives of its own or more: ask for more, or mine none"
        )
    mined = _mine(pairs, model, corpus, options=options, report=progress)
    defects = Defects()
    rows = tuple(complete_pairs(pairs, mined, options.count, seed=options.seed, defects=defects))
    if not rows:
        raise DataError(
            f"no pair of '{data.name}' has {options.count} negatives at ranks {options.skip + 1} to {options.depth} "
            f"among {len(corpus):,} documents:\nlower the margin ({options.margin:g}), look deeper, skip fewer or ask "
            "for fewer"
        )
    return replace(data, rows=rows, defects=(*data.defects, *defects.summarize()))


def _check(options: MineOptions) -> None:
    if options.count < 1:
        raise CallError(f"count {options.count} is out of range: expected at least 1")
    for option in ("skip", "seed"):
        if getattr(options, option) < 0:
            raise CallError(f"{option} {getattr(options, option)} is out of range: expected 0 or more")
    if options.depth - options.skip < options.count:
        raise CallError(
            f"depth {options.depth} is too little for {options.count} negatives after the first {options.skip}: "
            f"expected at least {options.skip + options.count}"
        )
    if not math.isfinite(options.margin) or options.margin >= 1:
        raise CallError(f"margin {options.margin:g} is out of range: expected a share of the positive's score, below 1")


def _mine(
    pairs: Sequence[Pairwise],
    model: SentenceTransformer,
    corpus: Sequence[str],
    *,
    options: MineOptions,
    report: Progress,
) -> dict[str, list[str]]:
    """Return candidates by the key of their query; of texts with the same key one stands for all."""
    queries: dict[str, str] = {}
    documents: dict[str, str] = {}
    for pair in pairs:
        queries.setdefault(text_key(pair.query), pair.query)
        documents.setdefault(text_key(pair.positive), pair.positive)
    for text in filter(str.strip, corpus):
        documents.setdefault(text_key(text), text)
    asked = dict.fromkeys((queries[text_key(pair.query)], documents[text_key(pair.positive)]) for pair in pairs)
    mined = mine(list(asked), model, list(documents.values()), options=options, progress=report)
    return {text_key(query): found for query, found in mined.items()}


def text_key(text: str) -> str:
    """Return the key of a text, which ignores case and white space."""
    return " ".join(text.split()).casefold()


def complete_pairs(
    pairs: Sequence[Pairwise], found: Mapping[str, Sequence[str]], count: int, *, seed: int, defects: Defects
) -> Iterator[Pairwise]:
    """Yield the pairs that come to `count` negatives.

    Args:
        pairs: The pairs with their own negatives.
        found: Further documents by the key of their query; those that may be no negatives are passed over.
        count: Negatives of every pair.
        seed: Of the draw, where more were found than are needed.
        defects: Collects the pairs that are left out.

    Yields:
        Pairs with their own negatives first, then drawn ones in the order in which they were found.
    """
    rng = np.random.default_rng(seed)
    relevant: dict[str, set[str]] = {}
    for pair in pairs:
        relevant.setdefault(text_key(pair.query), {"", text_key(pair.query)}).add(text_key(pair.positive))
    for pair in pairs:
        query = text_key(pair.query)
        own = _pick_own(pair, relevant[query], count, defects=defects)
        others = list(_without(found.get(query, ()), relevant[query] | own.keys()).values())
        needed = count - len(own)
        if needed > len(others):
            defects.add(f"pairs with fewer than {count} negatives (left out)", _locate(pair))
            continue
        drawn = np.sort(rng.choice(len(others), needed, replace=False))
        yield replace(pair, negatives=(*own.values(), *(others[number] for number in drawn)))


def _pick_own(pair: Pairwise, relevant: set[str], count: int, *, defects: Defects) -> dict[str, str]:
    own = _without(pair.negatives, relevant)
    if len(own) < len(pair.negatives):
        defects.add("pairs with a negative that is relevant, empty or there twice (without it)", _locate(pair))
    if len(own) > count:
        defects.add(f"pairs with more than {count} negatives of their own (the first {count} kept)", _locate(pair))
    return dict(list(own.items())[:count])


def _without(texts: Iterable[str], barred: set[str]) -> dict[str, str]:
    """Return texts by their keys, the first of each; none whose key is barred."""
    unique: dict[str, str] = {}
    for text in texts:
        if text_key(text) not in barred:
            unique.setdefault(text_key(text), text)
    return unique


def _locate(pair: Pairwise) -> str:
    return pair.location or f"'{pair.query[:40]}'"
