"""Queries to look at: how single encoders differ on them, with the documents that each one found."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from probe.data.corpus import read_named
from probe.data.dataset import Dataset
from probe.data.images import shown
from probe.data.texts import shorten

if TYPE_CHECKING:
    from probe.metrics.top_k import Run

__all__ = ["LEADERS", "Example", "Examples", "Finding", "before_and_after", "choose_examples", "leaders"]

# Documents that are shown per query and encoder.
LEADERS = 5
# Queries that are shown of each sort.
_OF_EACH = 6
_LONGEST = 400

# The documents found first, best first, per query id.
Leaders = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Finding:
    """What one encoder found for a query.

    Attributes:
        rank: The encoder's rank in the leaderboard.
        score: Its score for this query.
        documents: Ids of what it found first, best first.
    """

    rank: int
    score: float
    documents: tuple[str, ...]


@dataclass(frozen=True)
class Example:
    """A query, and what every encoder of a leaderboard found for it.

    Attributes:
        query: Its id.
        text: Its text.
        chosen: `worst` or `best` for the leaderboard's first encoder, or `divided`: encoders differ most; of a model
            and its replacement, `lost` or `gained`.
        relevant: Grade per id of a relevant document.
        findings: One per row, in their order.
    """

    query: str
    text: str
    chosen: str
    relevant: dict[str, int]
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Examples:
    """Queries to look at.

    Attributes:
        queries: The queries.
        texts: The beginning of every document that is named, by id.
        sources: The file that a document was made from, by id, where the data set knows it.
    """

    queries: tuple[Example, ...]
    texts: dict[str, str]
    sources: dict[str, str] = field(default_factory=dict)


def leaders(run: "Run") -> dict[str, tuple[str, ...]]:
    """Return the first documents per query of a run whose documents come best first."""
    return {query: tuple(found)[:LEADERS] for query, found in run.items()}


def choose_examples(scores: NDArray[np.float64], found: Sequence[Leaders], dataset: Dataset) -> Examples:
    """Choose queries that show how encoders differ.

    Args:
        scores: One row per encoder, best encoder first, one value per query `(R, Q)`, queries in the order of the
            data set's qrels.
        found: What each encoder found first.
        dataset: Whose queries and documents are shown.

    Returns:
        The worst and the best queries of the first encoder and those that divide the encoders most; no query twice.
    """
    texts = dict(dataset.queries)
    queries = list(dataset.qrels)
    examples = tuple(
        Example(
            query=queries[column],
            text=_shorten(texts.get(queries[column], "")),
            chosen=why,
            relevant={doc: grade for doc, grade in dataset.qrels[queries[column]].items() if grade > 0},
            findings=tuple(
                Finding(row + 1, float(scores[row, column]), leading.get(queries[column], ()))
                for row, leading in enumerate(found)
            ),
        )
        for why, column in _choose(scores)
    )
    named = {doc for one in examples for doc in _documents_of(one)}
    documents = read_named(dataset.documents, named)
    beginnings = {name: _shorten(one.text) for name, one in documents.items()}
    return Examples(examples, beginnings, {name: one.source for name, one in documents.items() if one.source})


def before_and_after(examples: Examples, before: int, after: int) -> Examples:
    """Return the queries on which a model and its replacement differ most, those that lost most first.

    Args:
        examples: Of a leaderboard of the two.
        before: Rank of the model.
        after: Rank of its replacement.

    Returns:
        Their queries with the model as the first finding and the replacement as the second.
    """
    pairs = []
    for one in examples.queries:
        first, second = (next(found for found in one.findings if found.rank == rank) for rank in (before, after))
        if one.chosen == "divided":
            findings = (replace(first, rank=1), replace(second, rank=2))
            pairs.append(replace(one, chosen="lost" if second.score < first.score else "gained", findings=findings))
    pairs.sort(key=lambda one: (one.chosen == "gained", -abs(one.findings[1].score - one.findings[0].score)))
    named = {document for one in pairs for document in _documents_of(one)}
    texts, sources = (
        {name: text for name, text in known.items() if name in named} for known in (examples.texts, examples.sources)
    )
    return Examples(tuple(pairs), texts, sources)


def _choose(scores: NDArray[np.float64]) -> list[tuple[str, int]]:
    """Return why and which queries, each once; of equal ones first those that divide the encoders more."""
    spread = scores.std(axis=0)
    chosen = dict.fromkeys(_divide(scores, spread), "divided")
    for why, values in {"worst": scores[0], "best": -scores[0]}.items():
        fresh = [column for column in np.lexsort((-spread, values)).tolist() if column not in chosen]
        chosen |= dict.fromkeys(fresh[:_OF_EACH], why)
    return [(why, column) for column, why in chosen.items()]


def _divide(scores: NDArray[np.float64], spread: NDArray[np.float64]) -> list[int]:
    """Return the queries on which encoders differ most; of two encoders some that each of them wins."""
    # Where all encoders agree, nothing divides them.
    order = [column for column in np.argsort(-spread, kind="stable").tolist() if spread[column] > 0]
    if len(scores) != 2:
        return order[:_OF_EACH]
    wins = scores[0] > scores[1]
    sides = ([column for column in order if wins[column] == side] for side in (True, False))
    return sorted((column for side in sides for column in side[:_OF_EACH]), key=order.index)


def _documents_of(example: Example) -> Iterable[str]:
    yield from example.relevant
    for finding in example.findings:
        yield from finding.documents


def _shorten(text: str) -> str:
    return shorten(" ".join(shown(text).split()), _LONGEST)
