"""Queries of the user's own: a file of queries, with or without the documents that answer them."""

import csv
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from probe.documents.passages import Passage
from probe.documents.queries import Query
from probe.errors import CallError, DataError
from probe.formats.decoding import open_text
from probe.formats.document import UnreadableFile
from probe.formats.sentences import words_of
from probe.io.column_files import finite_number

__all__ = ["OwnQueries", "QueryRow", "match_queries", "read_query_log"]

_TEXTS = ("query", "question", "text", "q", "search", "search_term", "query_text")
_DOCUMENTS = (
    *("document", "doc_id", "docid", "document_id", "corpus-id", "corpus_id", "clicked", "clicked_document"),
    *("path", "file", "url", "passage", "passage_id", "_id", "id"),
)
_GRADES = ("grade", "score", "relevance", "label", "judgement", "judgment", "rating")
_CLICKS = ("clicks", "click", "click_count", "n_clicks")
_SUFFIXES = (".txt", ".csv", ".tsv", ".jsonl")
_HIGHEST_GRADE = 100


@dataclass(frozen=True)
class QueryRow:
    """A query of a log.

    Attributes:
        text: The query.
        document: Id of a passage, or a path; empty if nothing is said about its answer.
        grade: Its grade, from 0 for irrelevant.
        line: Where it stands, from 1.
    """

    text: str
    document: str
    grade: int
    line: int


@dataclass(frozen=True)
class OwnQueries:
    """Queries of a log, matched with the passages of a data set.

    Attributes:
        judged: Queries with passages that answer them.
        unjudged: Texts of queries without any: they are not scored.
        unknown: Number of rows that name a document that is not in the data set.
        example: The first of them, with its line; empty if there is none.
    """

    judged: tuple[Query, ...]
    unjudged: tuple[str, ...]
    unknown: int
    example: str


def read_query_log(path: Path) -> list[QueryRow]:
    """Read queries from a text file with one per line, or from CSV, TSV or JSONL with named columns.

    The column of the query is called `query`, `question` or `text`; that of the answer, which may be missing,
    `document`, `doc_id`, `corpus-id`, `clicked`, `path` or `url`; its grade `grade`, `score` or `label`. A row without
    a grade counts 1, and so does one with clicks, however many: they say that a document was chosen, not how good it
    is.

    Raises:
        CallError: If the file is missing or of another type.
        DataError: If it has no column of queries, a line is malformed, or there is no query.
    """
    suffix = path.suffix.lower()
    if not path.is_file():
        raise CallError(f"file '{path}' not found")
    if suffix not in _SUFFIXES:
        raise CallError(f"'{path}' is not a file of queries: expected one of {', '.join(_SUFFIXES)}")
    try:
        rows = list(_rows(path, suffix))
    except UnreadableFile as error:
        raise DataError(f"'{path}' cannot be read: {error}") from error
    if not rows:
        raise DataError(f"'{path}' has no query: expected one per line, or a column of them")
    return rows


def match_queries(rows: Sequence[QueryRow], passages: Iterable[Passage]) -> OwnQueries:
    """Match queries with the passages that their rows name by id, by document or by path.

    All passages of a file or a document have the grade of its row. The first passage of a file has the file's path as
    its id: this name, too, means the file.

    Args:
        rows: Rows of a log. Rows with equal words are one query.
        passages: The corpus.
    """
    named = _find_named(rows, passages)
    grades: dict[str, dict[str, int]] = defaultdict(dict)
    texts: dict[str, str] = {}
    unknown: list[QueryRow] = []
    for row in rows:
        key = " ".join(words_of(row.text)) or row.text
        texts.setdefault(key, row.text)
        found = named.get(_plain(row.document), {})
        if row.document and not found:
            unknown.append(row)
        for one in found:
            grades[key][one] = max(row.grade, grades[key].get(one, 0))
    documents = {one: document for found in named.values() for one, document in found.items()}
    judged = tuple(_as_query(text, grades[key], documents) for key, text in texts.items() if any(grades[key].values()))
    unjudged = tuple(text for key, text in texts.items() if not any(grades[key].values()))
    example = f"line {unknown[0].line}: '{unknown[0].document}'" if unknown else ""
    return OwnQueries(judged, unjudged, len(unknown), example)


def _find_named(rows: Sequence[QueryRow], passages: Iterable[Passage]) -> dict[str, dict[str, str]]:
    """Return the passages, each with its document, by the names that rows use."""
    wanted = {_plain(row.document) for row in rows if row.document}
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for passage in passages if wanted else ():
        whole = {passage.path} if passage.line is None else set()  # a table is no answer
        for name in ({passage.id, passage.document} | whole) & wanted:
            found[name][passage.id] = passage.document
    return found


def _plain(name: str) -> str:
    """Return a name without what a path may begin with."""
    return name.removeprefix("./").lstrip("/")


def _as_query(text: str, grades: Mapping[str, int], documents: Mapping[str, str]) -> Query:
    # The document of the best answer decides the split.
    best = max(grades, key=lambda one: grades[one])
    return Query(text, "own", tuple(grades), documents[best], tuple(grades.values()))


def _rows(path: Path, suffix: str) -> Iterator[QueryRow]:
    with open_text(path) as lines:
        if suffix == ".txt":
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield QueryRow(" ".join(line.split()), "", 1, number)
            return
        records = _json_lines(path, lines) if suffix == ".jsonl" else _separated(path, lines, suffix)
        for number, record in records:
            yield from _as_rows(path, number, record)


def _json_lines(path: Path, lines: Any) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path.name}:{number}: not JSON") from error
        if not isinstance(record, dict):
            raise DataError(f'{path.name}:{number}: expected an object such as {{"query": ...}}')
        yield number, record


def _separated(path: Path, lines: Any, suffix: str) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.DictReader(lines, delimiter="\t" if suffix == ".tsv" else ",")
    try:
        for record in reader:
            yield reader.line_num, {str(name).strip(): value for name, value in record.items()}
    except csv.Error as error:
        raise DataError(f"{path.name}:{reader.line_num}: {error}") from error


def _as_rows(path: Path, number: int, record: Mapping[str, Any]) -> Iterator[QueryRow]:
    """Yield a row per document; JSONL may list more than one."""
    by_name = {name.lower(): value for name, value in record.items()}
    text_name = next((name for name in _TEXTS if name in by_name), None)
    if text_name is None:
        found = ", ".join(list(record)[:6]) or "none"
        raise DataError(f"{path.name}:{number}: no column of queries; found {found}, expected query, question or text")
    text = " ".join(str(by_name[text_name] or "").split())
    if not text:
        return
    given = next((by_name[name] for name in _DOCUMENTS if by_name.get(name) not in (None, "")), None)
    documents = given if isinstance(given, list) else [given]
    grade = _grade(path, number, by_name)
    for document in documents:
        yield QueryRow(text, "" if document is None else str(document).strip(), grade, number)


def _grade(path: Path, number: int, record: Mapping[str, Any]) -> int:
    clicks = next((record[name] for name in _CLICKS if record.get(name) not in (None, "")), None)
    given = next((record[name] for name in _GRADES if record.get(name) not in (None, "")), None)
    value = given if given is not None else clicks
    if value is None or isinstance(value, bool):
        return int(value is not False)
    number_given = finite_number(value)
    if number_given is None or not number_given >= 0 or (given is not None and number_given > _HIGHEST_GRADE):
        raise DataError(f"{path.name}:{number}: the grade is '{value}': expected a number from 0 to {_HIGHEST_GRADE}")
    return int(number_given > 0) if given is None else round(number_given)
