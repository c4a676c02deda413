"""Hard negatives for training rows: documents near a query, none of them relevant to it."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from sentence_transformers import SentenceTransformer

from adaptors.completion import complete_pairs, text_key
from adaptors.mining import MineOptions, mine
from adaptors.tuning_data import TuningData
from adaptors.tuning_rows import Pairwise, as_pairs, as_points
from probe.defects import Defects
from probe.errors import CallError, DataError
from probe.states import Progress, silent

__all__ = ["MineOptions", "candidate_texts", "mine_negatives"]


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
    options: MineOptions | None = None,
    progress: Progress = silent,
) -> TuningData:
    """Give every pair the same number of negatives: its own first, then hard ones out of a corpus.

    Neither the query itself nor a document that any row says is relevant to it is its negative, in whatever case and
    white space it comes.

    Args:
        data: Rows to train on, of any form.
        model: Its scores tell what is near a query.
        corpus: Candidates; the positives of all rows are candidates too.
        options: Which of them may be taken, and how many.
        progress: Told how many texts are embedded.

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
    mined = _mine(pairs, model, corpus, options, progress)
    defects = Defects()
    rows = tuple(complete_pairs(pairs, mined, options.count, options.seed, defects))
    if not rows:
        raise DataError(
            f"no pair of '{data.name}' has {options.count} negatives at ranks {options.skip + 1} to {options.depth} "
            f"among {len(corpus):,} documents:\nlower the margin ({options.margin:g}), look deeper, skip fewer or ask "
            "for fewer"
        )
    return replace(data, rows=rows, defects=(*data.defects, *defects.summarise()))


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
    pairs: Sequence[Pairwise], model: SentenceTransformer, corpus: Sequence[str], options: MineOptions, report: Progress
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
    mined = mine(list(asked), model, list(documents.values()), options, report)
    return {text_key(query): found for query, found in mined.items()}
