"""Training rows in the columns of sentence-transformers' losses, or the reason why a loss cannot use them."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from adaptors.rows.load import TuningData
from adaptors.rows.rows import Pairwise, Row, as_lists, as_pairs, as_points
from probe.errors import CallError

__all__ = ["BINARY", "CLASSES", "LISTS", "PAIRS", "SCORED", "TEXTS", "TRIPLETS", "TRIPLETS_OR_PAIRS", "Layout"]

Columns = dict[str, list[Any]]

_QUERIES = ("anchor", "query", "sentence1")


@dataclass(frozen=True)
class Layout:
    """The columns of a batch.

    Attributes:
        columns: Column names; the losses depend on their order.
        build: Builds the columns from rows.
        sampler: Batch sampler of sentence-transformers' trainer.
        has_sides: Whether every column has either queries or documents.
    """

    columns: str
    build: Callable[[Sequence[Row]], Columns]
    sampler: str = "no_duplicates"
    has_sides: bool = True

    def sides(self, columns: Sequence[str]) -> dict[str, str]:
        """Return `query` or `document` for every text column; empty if the layout has no sides."""
        if not self.has_sides:
            return {}
        texts = [name for name in columns if name not in ("label", "score")]
        return {name: "query" if name in _QUERIES else "document" for name in texts}

    def dataset(self, data: TuningData, loss: str) -> Any:
        """Return rows as a `datasets.Dataset`.

        Args:
            data: The rows, in any form.
            loss: Name of the loss, for the message.

        Raises:
            CallError: The rows lack data that the loss needs.
            DataError: A row contradicts another, or a query has no relevant document.
        """
        from datasets import Dataset

        try:
            columns = self.build(data.rows)
        except CallError as error:
            raise CallError(f"the loss '{loss}' cannot use '{data.name}': it needs {self.columns}\n{error}") from error
        return Dataset.from_dict(columns)


def _pairs(rows: Sequence[Row]) -> Columns:
    pairs = as_pairs(rows)
    counts = sorted({len(pair.negatives) for pair in pairs})
    if len(counts) > 1:
        raise CallError(
            f"its queries have {counts[0]} to {counts[-1]} negatives: expected the same number for each; "
            "a triplet loss supports any number"
        )
    columns = _both_sides(pairs)
    for number in range(counts[0]):
        name = "negative" if counts[0] == 1 else f"negative_{number + 1}"
        columns[name] = [pair.negatives[number] for pair in pairs]
    return columns


def _triplets(rows: Sequence[Row]) -> Columns:
    pairs = as_pairs(rows)
    for pair in pairs:
        if not pair.negatives:
            raise CallError(
                f"{pair.location}: a query without negatives: add negatives, or choose a pair loss such as infonce"
            )
    return _split_negatives(pairs)


def _triplets_or_pairs(rows: Sequence[Row]) -> Columns:
    pairs = as_pairs(rows)
    return _split_negatives(pairs) if any(pair.negatives for pair in pairs) else _both_sides(pairs)


def _split_negatives(pairs: Sequence[Pairwise]) -> Columns:
    single = [Pairwise(pair.query, pair.positive, (text,)) for pair in pairs for text in pair.negatives]
    if {pair.query for pair in pairs} - {pair.query for pair in single}:
        raise CallError("some of its queries have negatives and some have none: expected all or none")
    return {**_both_sides(single), "negative": [pair.negatives[0] for pair in single]}


def _both_sides(pairs: Sequence[Pairwise]) -> Columns:
    return {"anchor": [pair.query for pair in pairs], "positive": [pair.positive for pair in pairs]}


def _scored(rows: Sequence[Row]) -> Columns:
    points = as_points(rows)
    labels = [point.label for point in points]
    if len(set(labels)) == 1:
        raise CallError(f"all its labels are {labels[0]:g}: expected different labels; for pairs only, use infonce")
    return {
        "sentence1": [point.query for point in points],
        "sentence2": [point.document for point in points],
        "score": labels,
    }


def _binary(rows: Sequence[Row]) -> Columns:
    columns = _scored(rows)
    scores = columns.pop("score")
    for point, score in zip(as_points(rows), scores, strict=True):
        if score not in (0, 1):
            raise CallError(f"{point.location}: label {score:g}: expected 0 or 1; for grades, use cosent or angle")
    return {**columns, "label": [int(score) for score in scores]}


def _lists(rows: Sequence[Row]) -> Columns:
    if all(isinstance(row, Pairwise) for row in rows):
        raise CallError(
            "pair-wise rows have no teacher's scores: expected query, documents, labels, or --cross-encoder"
        )
    lists = as_lists(rows)
    counts = sorted({len(row.documents) for row in lists})
    if len(counts) > 1:
        raise CallError(f"its lists have {counts[0]} to {counts[-1]} documents: expected the same number in each")
    # The losses compute differences to the first document.
    orders = [sorted(range(counts[0]), key=lambda index, row=row: -row.labels[index]) for row in lists]  # type: ignore[misc]
    columns: Columns = {"query": [row.query for row in lists]}
    for rank in range(counts[0]):
        chosen = zip(lists, orders, strict=True)
        columns[f"document_{rank + 1}"] = [row.documents[order[rank]] for row, order in chosen]
    columns["label"] = [[row.labels[index] for index in order] for row, order in zip(lists, orders, strict=True)]
    return columns


def _classes(rows: Sequence[Row]) -> Columns:
    """Return every text once, with its class: a connected component of the relevance graph."""
    root: dict[str, str] = {}
    for pair in as_pairs(rows):
        query = _find_root(root, pair.query)
        root[_find_root(root, pair.positive)] = query
        for negative in pair.negatives:
            _find_root(root, negative)
    texts = list(root)
    numbers: dict[str, int] = {}
    labels = [numbers.setdefault(_find_root(root, text), len(numbers)) for text in texts]
    # A negative without relevant texts is a class of one, which has no pairs.
    if sum(count > 1 for count in Counter(labels).values()) < 2:
        raise CallError("relevance connects all its texts into one class: expected two or more")
    return {"sentence": texts, "label": labels}


def _find_root(root: dict[str, str], text: str) -> str:
    """Return the representative of a text's class (union-find with path compression)."""
    root.setdefault(text, text)
    while root[text] != text:
        root[text] = text = root[root[text]]
    return text


def _texts(rows: Sequence[Row]) -> Columns:
    points = as_points(rows)
    texts = list(dict.fromkeys(text for point in points for text in (point.query, point.document)))
    return {"anchor": texts, "positive": texts}


PAIRS = Layout("anchor, positive[, negative_1, ...]", _pairs)
TRIPLETS = Layout("anchor, positive, negative", _triplets, "batch_sampler")
TRIPLETS_OR_PAIRS = Layout("anchor, positive[, negative]", _triplets_or_pairs)
SCORED = Layout("sentence1, sentence2, score", _scored, "batch_sampler")
BINARY = Layout("sentence1, sentence2, label (0 or 1)", _binary, "batch_sampler")
LISTS = Layout("query, document_1, ..., label (a list of scores)", _lists, "batch_sampler")
CLASSES = Layout("sentence, label (a class)", _classes, "group_by_label", has_sides=False)
TEXTS = Layout("anchor, positive (the same text)", _texts, has_sides=False)
