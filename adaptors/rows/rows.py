"""Training rows of an encoder in three forms, and conversions between them without loss of labels."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from probe.errors import CallError, DataError

__all__ = ["Listwise", "Pairwise", "Pointwise", "Row", "as_lists", "as_pairs", "as_points", "texts_of"]


@dataclass(frozen=True)
class Pointwise:
    """A query and one document with a label.

    Attributes:
        query: The query.
        document: The document.
        label: A grade, a similarity, or 0 or 1.
        location: File and line of the row.
    """

    query: str
    document: str
    label: float
    location: str = field(default="", compare=False)


@dataclass(frozen=True)
class Pairwise:
    """A query, a relevant document, and documents that are not relevant.

    Attributes:
        query: The query.
        positive: The relevant document.
        negatives: Documents that are not relevant; may be empty.
        grade: Relevance grade of the positive; default: 1.
        location: File and line of the row.
    """

    query: str
    positive: str
    negatives: tuple[str, ...] = ()
    grade: float = 1.0
    location: str = field(default="", compare=False)


@dataclass(frozen=True)
class Listwise:
    """A query and documents, each with a label.

    Attributes:
        query: The query.
        documents: The documents.
        labels: Grades, or a teacher's scores.
        location: File and line of the row.
    """

    query: str
    documents: tuple[str, ...]
    labels: tuple[float, ...]
    location: str = field(default="", compare=False)


Row = Pointwise | Pairwise | Listwise


def as_points(rows: Sequence[Row]) -> list[Pointwise]:
    """Return every label as a point-wise row: positives with their grade, negatives with 0."""
    return [point for row in rows for point in _points_of(row)]


def texts_of(rows: Sequence[Row]) -> list[str]:
    """Return every query and every document, with repetitions."""
    return [text for point in as_points(rows) for text in (point.query, point.document)]


def _points_of(row: Row) -> Iterator[Pointwise]:
    if isinstance(row, Pointwise):
        yield row
        return
    judged = _as_list(row) if isinstance(row, Pairwise) else row
    for document, label in zip(judged.documents, judged.labels, strict=True):
        yield Pointwise(row.query, document, label, row.location)


def _as_list(row: Pairwise) -> Listwise:
    """Return a pair-wise row as a list, the positive first."""
    labels = (row.grade, *(0.0 for _ in row.negatives))
    return Listwise(row.query, (row.positive, *row.negatives), labels, row.location)


def as_lists(rows: Sequence[Row]) -> list[Listwise]:
    """Return lists of two or more documents: one per query of point-wise rows, one per pair-wise row.

    Raises:
        CallError: A query has only one document.
        DataError: A document has two different labels.
    """
    lists = _gather(rows)
    for row in lists:
        if len(row.documents) < 2:
            raise CallError(f"{row.location}: a query with one document, expected two or more: add negatives")
    return lists


def as_pairs(rows: Sequence[Row]) -> list[Pairwise]:
    """Return one row per relevant document, with all documents of its query that are not relevant.

    Raises:
        CallError: The labels are scores, so that the relevant documents are unknown.
        DataError: A query has no relevant document, or a document has two different labels.
    """
    if all(isinstance(row, Pairwise) for row in rows):
        return [row for row in rows if isinstance(row, Pairwise)]
    return [pair for row in _gather(rows) for pair in _pairs_of(row)]


def _pairs_of(row: Listwise) -> list[Pairwise]:
    for label in row.labels:
        if label < 0 or label != int(label):
            raise CallError(
                f"{row.location}: the label {label:g} is a score, not a grade (0, 1, 2, ...), so it forms no "
                "pairs: use a loss for scores, such as --loss cosent"
            )
    judged = list(zip(row.documents, row.labels, strict=True))
    negatives = tuple(document for document, label in judged if not label)
    pairs = [Pairwise(row.query, document, negatives, label, row.location) for document, label in judged if label]
    if not pairs:
        raise DataError(f"{row.location}: no document is relevant to '{row.query[:60]}': expected a label above 0")
    return pairs


def _gather(rows: Sequence[Row]) -> list[Listwise]:
    """Return one list per row, and one per query of point-wise rows."""
    lists = [_as_list(row) if isinstance(row, Pairwise) else row for row in rows if not isinstance(row, Pointwise)]
    judged: dict[str, dict[str, float]] = {}
    locations: dict[str, str] = {}
    for row in rows:
        if not isinstance(row, Pointwise):
            continue
        locations.setdefault(row.query, row.location)
        label = judged.setdefault(row.query, {}).setdefault(row.document, row.label)
        if label != row.label:
            raise DataError(f"{row.location}: label {row.label:g} of a document that already has label {label:g}")
    lists += [Listwise(query, tuple(found), tuple(found.values()), locations[query]) for query, found in judged.items()]
    return lists
