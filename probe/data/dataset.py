"""The data set type: documents, queries with relevance labels, and the labels."""

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
    "KEPT_ID_RULE",
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
KEPT_ID_RULE = "no document is dropped, whatever its id"

_ROWS_SHOWN = 5
# Maximum number of locations listed in a message.
_NAMED = 3
_LONGEST = 160


@dataclass(frozen=True)
class SharedIds:
    """Ids used both by a query and by a document.

    Attributes:
        same: Ids whose texts are equal: the document is the query itself.
        other: Ids whose texts differ, for example because both were numbered from 1.
    """

    same: frozenset[str] = field(default=frozenset())
    other: frozenset[str] = field(default=frozenset())


class SharedIdsBuilder:
    """Collects ids shared by queries and documents while documents are streamed."""

    def __init__(self, queries: Mapping[str, str]) -> None:
        """Create a builder for queries, given as texts by id."""
        self._queries = queries
        self._same: set[str] = set()
        self._other: set[str] = set()

    def add(self, name: str, *texts: str) -> None:
        """Add a document by id, with its text with and without title; case and white space are ignored."""
        query = self._queries.get(name)
        if query is not None:
            (self._same if _plain(query) in map(_plain, texts) else self._other).add(name)

    def build(self) -> SharedIds:
        """Return the shared ids."""
        return SharedIds(frozenset(self._same), frozenset(self._other))


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()


@dataclass(frozen=True, repr=False)
class Dataset:
    """A retrieval data set as in BEIR, for one split.

    Attributes:
        name: Name of the folder or archive, or BEIR's name.
        split: Split of the relevance labels.
        documents: The corpus, streamed; each text is built by the title rule.
        queries: Queries with relevance labels; other queries are dropped.
        qrels: Grades by query id and document id; grade 0 means judged not relevant.
        synthetic: How the queries were generated; empty for queries asked by people.
        defects: Non-fatal defects of the files, with file and line.
        limited: Whether documents were dropped by `limit`.
        whole: Number of documents and queries before sampling; None for a whole data set.
        images: The side that consists of images (`ImageFile`): `documents`, `queries`, or None.
        drop_same_id: Whether to drop a document with the query's own id even if its text differs, as BEIR does.
        keep_same_id: Whether to keep every document, as published scores of some sets do, unless `drop_same_id`.
        shared_ids: Ids shared by queries and documents; default: computed from the documents.
        source: Full address of a data set of a hub or library, with its revision; empty for files and built-in sets.
    """

    name: str
    split: str
    documents: Documents
    queries: Texts
    qrels: Qrels
    synthetic: str = ""
    defects: tuple[str, ...] = ()
    limited: bool = False
    whole: tuple[int, int] | None = None
    images: str = ""
    drop_same_id: bool = False
    keep_same_id: bool = False
    shared_ids: SharedIds | None = None
    source: str = ""

    def __post_init__(self) -> None:
        """Reject ids that trec_eval would truncate.

        Raises:
            CallError: If an id contains a NUL character.
        """
        held = self.documents.ids if isinstance(self.documents, Texts) else ()
        found = next((name for name in (*self.queries.ids, *held) if "\0" in name), None)
        if found is not None:
            raise CallError(f"NUL character in the id {found!a} (trec_eval would truncate it): remove the character")

    @cached_property
    def dropped(self) -> frozenset[str]:
        """Ids of queries for which the document with the same id is never returned."""
        if self.drop_same_id:
            return frozenset(self.queries.ids)
        return frozenset() if self.keep_same_id else self._shared.same

    @property
    def id_rule(self) -> str:
        """The rule for documents that are never returned, in words."""
        if self.drop_same_id:
            return BEIR_ID_RULE
        return KEPT_ID_RULE if self.keep_same_id else ID_RULE

    @property
    def notices(self) -> tuple[str, ...]:
        """The defects, and the number of queries that share their id with a document that is kept."""
        if self.drop_same_id:
            return self.defects
        kinds = [("another", self._shared.other), *([("the same", self._shared.same)] if self.keep_same_id else [])]
        found = [(text, [query for query in self.queries.ids if query in ids]) for text, ids in kinds]
        return (*self.defects, *(_describe_kept(text, alike) for text, alike in found if alike))

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
        """Return the sha256 of ids and texts of documents and queries."""
        return TextHash.of([(self.documents.text_hash, self.queries.text_hash)])

    @cached_property
    def qrels_hash(self) -> str:
        """Return the sha256 of the relevance labels."""
        rows = [(q, d, str(grade)) for q, docs in self.qrels.items() for d, grade in docs.items()]
        return TextHash.of(sorted(rows))

    def __repr__(self) -> str:
        counts = f"{len(self.documents)} documents, {len(self.queries)} queries"
        return f"Dataset({self.name!r}, split={self.split!r}, {counts})"

    def _repr_html_(self) -> str:
        """Return an HTML table of counts and the first queries."""
        notes = [
            *([f"synthetic queries: {self.synthetic}"] if self.synthetic else []),
            *(["a part of the corpus"] if self.limited else []),
            f"text {self.text_hash[:12]}, relevance labels {self.qrels_hash[:12]}",
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
        """Return the relevance labels with their texts, one row per labelled query-document pair.

        Raises:
            CallError: If pandas is not installed.
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


def _describe_kept(text: str, queries: list[str]) -> str:
    named = ", ".join(queries[:_NAMED]) + ", ..." * (len(queries) > _NAMED)
    kind = f"queries share their id with a document of {text} text (kept; to drop it: --drop-same-id)"
    return f"{len(queries)} {kind}: {named}"


def refuse_images(dataset: Dataset, reader: str) -> None:
    """Raise if a data set contains images; `reader` names the text-only consumer.

    Raises:
        CallError: If either side consists of images.
    """
    if dataset.images:
        raise CallError(
            f"'{dataset.name}' contains images, and {reader} supports only text: use probe layers or probe rank"
        )


@dataclass
class Defects:
    """Non-fatal defects of a data set's files, by kind."""

    locations: dict[str, list[str]] = field(default_factory=dict)

    def add(self, kind: str, location: str) -> None:
        """Record one defect."""
        self.locations.setdefault(kind, []).append(location)

    def summarize(self) -> tuple[str, ...]:
        """Return one line per kind, with the first locations."""
        return tuple(
            f"{len(found)} {kind}: {', '.join(found[:_NAMED])}{', ...' if len(found) > _NAMED else ''}"
            for kind, found in self.locations.items()
        )
