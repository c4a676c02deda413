"""A data set: documents, judged queries and judgements, as a value."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING

from probe.data.images import shown
from probe.data.texts import Documents, TextHash, Texts, shorten
from probe.errors import CallError
from probe.io.html_table import import_pandas, render_table

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "BEIR_ID_RULE",
    "DEFAULT_DATASET",
    "ID_RULE",
    "TITLE_RULE",
    "Dataset",
    "Defects",
    "Qrels",
    "SharedIds",
    "SharedIdsBuilder",
    "refuse_images",
]

Qrels = dict[str, dict[str, int]]

DEFAULT_DATASET = "docstrings"
TITLE_RULE = "title + ' ' + text"
ID_RULE = "a document with the query's own id and text is dropped"
BEIR_ID_RULE = "a document with the query's own id is dropped"

_ROWS_SHOWN = 5
# Locations that a line names.
_NAMED = 3
_LONGEST = 160


@dataclass(frozen=True)
class SharedIds:
    """Ids that a query and a document have in common.

    Attributes:
        same: Those whose texts are the same, too: the document is the query itself.
        other: Those whose texts differ: both were numbered from 1, for instance.
    """

    same: frozenset[str] = field(default=frozenset())
    other: frozenset[str] = field(default=frozenset())


class SharedIdsBuilder:
    """Finds the ids that queries and documents share while the documents stream by."""

    def __init__(self, queries: Mapping[str, str]) -> None:
        """Compare with queries, texts by id."""
        self._queries = queries
        self._same: set[str] = set()
        self._other: set[str] = set()

    def add(self, name: str, *texts: str) -> None:
        """Take in a document, by its id and its text with and without title; case and white space are no matter."""
        query = self._queries.get(name)
        if query is not None:
            (self._same if _plain(query) in map(_plain, texts) else self._other).add(name)

    def build(self) -> SharedIds:
        """Return what was found."""
        return SharedIds(frozenset(self._same), frozenset(self._other))


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()


@dataclass(frozen=True, repr=False)
class Dataset:
    """A retrieval data set in BEIR's terms, for one split.

    Attributes:
        name: Folder's or archive's name, or BEIR's.
        split: Whose judgements these are.
        documents: The corpus, each text by the title rule; read as a stream.
        queries: The judged queries only.
        qrels: Grade per query id and document id; grade 0 is judged and not relevant.
        synthetic: How the queries were made, where no person asked them; else empty.
        defects: What is wrong with the files without making them useless, with file and line.
        limited: Whether documents were left out by `limit`.
        images: Which side's texts are images (`ImageFile`): `documents`, `queries`, or neither.
        drop_same_id: Whether a document with the query's own id is dropped whatever its text, as BEIR does.
        shared_ids: The ids that queries and documents share; found in the documents when left out.
    """

    name: str
    split: str
    documents: Documents
    queries: Texts
    qrels: Qrels
    synthetic: str = ""
    defects: tuple[str, ...] = ()
    limited: bool = False
    images: str = ""
    drop_same_id: bool = False
    shared_ids: SharedIds | None = None

    def __post_init__(self) -> None:
        """Refuse ids that trec_eval would take for others.

        Raises:
            CallError: One has a NUL character, where trec_eval ends it.
        """
        held = self.documents.ids if isinstance(self.documents, Texts) else ()
        found = next((name for name in (*self.queries.ids, *held) if "\0" in name), None)
        if found is not None:
            raise CallError(f"a NUL character in the id {found!a}, where trec_eval ends it: take it out")

    @cached_property
    def dropped(self) -> frozenset[str]:
        """Ids of queries; the document with such an id is never returned for the query that has it."""
        return frozenset(self.queries.ids) if self.drop_same_id else self._shared.same

    @property
    def id_rule(self) -> str:
        """Which documents are never returned, in words."""
        return BEIR_ID_RULE if self.drop_same_id else ID_RULE

    @property
    def notices(self) -> tuple[str, ...]:
        """The defects, and how many documents have a query's id by accident."""
        alike = [] if self.drop_same_id else [query for query in self.queries.ids if query in self._shared.other]
        if not alike:
            return self.defects
        named = ", ".join(alike[:_NAMED]) + ", ..." * (len(alike) > _NAMED)
        kind = "queries with the id of a document that has another text (it stays; --drop-same-id drops it)"
        return (*self.defects, f"{len(alike)} {kind}: {named}")

    @cached_property
    def _shared(self) -> SharedIds:
        if self.shared_ids is not None:
            return self.shared_ids
        shared = SharedIdsBuilder(dict(self.queries))
        for name, text in self.documents if len(self.queries) else ():
            shared.add(name, text)
        return shared.build()

    @cached_property
    def text_hash(self) -> str:
        """sha256 over ids and texts of documents and queries."""
        return TextHash.of([(self.documents.text_hash, self.queries.text_hash)])

    @cached_property
    def qrels_hash(self) -> str:
        """sha256 over the judgements."""
        rows = [(q, d, str(grade)) for q, docs in self.qrels.items() for d, grade in docs.items()]
        return TextHash.of(sorted(rows))

    def __repr__(self) -> str:
        counts = f"{len(self.documents)} documents, {len(self.queries)} queries"
        return f"Dataset({self.name!r}, split={self.split!r}, {counts})"

    def _repr_html_(self) -> str:
        """Return the counts and the first judged queries as HTML."""
        notes = [
            *([f"synthetic queries: {self.synthetic}"] if self.synthetic else []),
            *(["a part of the corpus"] if self.limited else []),
            f"text {self.text_hash[:12]}, judgements {self.qrels_hash[:12]}",
            *(f"data defect: {defect}" for defect in self.notices),
        ]
        title = f"{self.name} ({self.split}): {len(self.documents)} documents, {len(self.queries)} queries"
        header = ("query id", "query", "relevant documents")
        return render_table(title, header, self._first_rows(), about="About this data set", notes=notes)

    def _first_rows(self) -> list[list[str]]:
        texts = dict(self.queries)
        rows = []
        for query, docs in islice(self.qrels.items(), _ROWS_SHOWN):
            relevant = ", ".join(doc for doc, grade in docs.items() if grade > 0)
            rows.append([query, shorten(shown(texts.get(query, "")), _LONGEST), relevant[:_LONGEST]])
        return rows

    def to_pandas(self) -> "pd.DataFrame":
        """Return the judgements with their texts, a row per judged pair of query and document.

        Raises:
            CallError: pandas is not installed.
        """
        pandas = import_pandas()
        queries = dict(self.queries)
        judged = {doc for docs in self.qrels.values() for doc in docs}
        documents = {name: text for name, text in self.documents if name in judged}
        rows = [
            (query, queries.get(query), document, documents.get(document), grade)
            for query, docs in self.qrels.items()
            for document, grade in docs.items()
        ]
        frame: pd.DataFrame = pandas.DataFrame(rows, columns=["query_id", "query", "document_id", "document", "grade"])
        return frame


def refuse_images(dataset: Dataset, reader: str) -> None:
    """Refuse a data set of images before any work; `reader` is what reads texts only.

    Raises:
        CallError: One side of it is images.
    """
    if dataset.images:
        raise CallError(
            f"'{dataset.name}' holds images, and {reader} reads texts only: probe layers and probe rank read images"
        )


@dataclass
class Defects:
    """Faults of a data set's files that leave it usable, by kind."""

    locations: dict[str, list[str]] = field(default_factory=dict)

    def add(self, kind: str, location: str) -> None:
        """Note one fault."""
        self.locations.setdefault(kind, []).append(location)

    def summarize(self) -> tuple[str, ...]:
        """Return one line per kind, with its first locations."""
        return tuple(
            f"{len(found)} {kind}: {', '.join(found[:_NAMED])}{', ...' if len(found) > _NAMED else ''}"
            for kind, found in self.locations.items()
        )
