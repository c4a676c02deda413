"""Files with records: CSV, TSV, JSON, JSON lines and Parquet, a document per record."""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from probe.formats.decoding import open_text, read_text
from probe.formats.document import Block, Document, PartlyRead, RecordFields, SourceFile, UnreadableFile

__all__ = ["read"]

TEXTS = ("text", "answer", "content", "body", "passage", "document", "contents", "description", "abstract", "context")
TITLES = ("title", "name", "subject", "heading", "headline")
IDS = ("_id", "id", "docid", "doc_id", "document_id", "corpus-id", "key", "uuid", "url")
QUESTIONS = ("question", "query", "questions", "queries")
_LONGEST_FIELD = 1 << 26
_LONGEST_LINE = 1 << 26

Record = Mapping[str, Any]


@dataclass(frozen=True)
class _Columns:
    text: str
    title: str | None
    id: str | None
    question: str | None


def read(file: SourceFile, fields: RecordFields) -> Iterator[Document]:
    """Yield a document per record; the column of the text may hold the answer to a column of questions.

    Raises:
        UnreadableFile: If no column holds text, or the file is malformed.
        PartlyRead: After the last record, if lines were skipped.
    """
    columns: _Columns | None = None
    skipped: list[int] = []
    count = 0
    for number, record in _records(file, skipped):
        if columns is None:
            columns = _find_columns(list(record), fields)
        document = _as_document(file, number, record, columns=columns)
        if document is None:
            skipped.append(number)
            continue
        count += 1
        yield document
    if not count:
        raise UnreadableFile("no record with text")
    if skipped:
        total = count + len(skipped)
        raise PartlyRead(f"{len(skipped)} of {total} records damaged or without text, first at line {min(skipped)}")


def _records(file: SourceFile, skipped: list[int]) -> Iterator[tuple[int, Record]]:
    name = file.name.lower().removesuffix(".gz")
    if name.endswith((".jsonl", ".ndjson")):
        yield from _json_lines(file, skipped)
    elif name.endswith(".json"):
        yield from _json_array(file, skipped)
    elif name.endswith(".parquet"):
        yield from _parquet(file)
    else:
        yield from _separated(file, skipped, "\t" if name.endswith((".tsv", ".tab")) else ",")


def _json_lines(file: SourceFile, skipped: list[int]) -> Iterator[tuple[int, Record]]:
    with open_text(file.path) as lines:
        number = 0
        while line := lines.readline(_LONGEST_LINE):
            number += 1
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                record = None
            if isinstance(record, dict):
                yield number, record
            else:
                skipped.append(number)


def _json_array(file: SourceFile, skipped: list[int]) -> Iterator[tuple[int, Record]]:
    try:
        found = json.loads(read_text(file.path))
    except (ValueError, RecursionError) as error:
        raise UnreadableFile("not JSON") from error
    if isinstance(found, dict):  # {"data": [...]}
        found = next((value for value in found.values() if isinstance(value, list) and value), None)
    if not isinstance(found, list) or not found or not isinstance(found[0], dict):
        raise UnreadableFile("JSON without a list of objects")
    for number, record in enumerate(found, start=1):
        if isinstance(record, dict):
            yield number, record
        else:
            skipped.append(number)


def _parquet(file: SourceFile) -> Iterator[tuple[int, Record]]:
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    try:
        table = ParquetFile(file.path)
        number = 0
        for batch in table.iter_batches(batch_size=1024):
            for record in batch.to_pylist():
                number += 1
                yield number, record
    except (ArrowException, OSError) as error:
        raise UnreadableFile("not a Parquet file") from error


def _separated(file: SourceFile, skipped: list[int], delimiter: str) -> Iterator[tuple[int, Record]]:
    csv.field_size_limit(_LONGEST_FIELD)
    with open_text(file.path) as lines:
        head = lines.readline(_LONGEST_LINE).lstrip("\ufeff")
        if delimiter == "," and head.count(";") > head.count(","):
            delimiter = ";"
        names = [name.strip() for name in next(csv.reader([head], delimiter=delimiter), [])]
        rows = csv.reader(lines, delimiter=delimiter)
        while True:
            try:
                row = next(rows)
            except StopIteration:
                return
            except csv.Error:
                skipped.append(rows.line_num + 1)
                continue
            if len(row) == len(names):
                yield rows.line_num + 1, dict(zip(names, row, strict=True))
            elif row:
                skipped.append(rows.line_num + 1)


def _find_columns(names: Sequence[str], fields: RecordFields) -> _Columns:
    def find(wanted: str | None, usual: Sequence[str]) -> str | None:
        """Return the column's name."""
        if wanted is not None:
            return wanted if wanted in names else None
        return next((name for one in usual for name in names if name.lower() == one), None)

    text = find(fields.text, TEXTS)
    if text is None:
        wanted = f"'{fields.text}'" if fields.text else f"any of {', '.join(TEXTS)}"
        found = ", ".join(map(str, names))[:80]
        raise UnreadableFile(f"no column {wanted}: found {found}; name one with --text-field")
    return _Columns(text, find(fields.title, TITLES), find(fields.id, IDS), find(None, QUESTIONS))


def _as_document(file: SourceFile, number: int, record: Record, *, columns: _Columns) -> Document | None:
    blocks = tuple(
        Block(" ".join(part.split())) for part in _as_text(record.get(columns.text)).split("\n\n") if part.strip()
    )
    if not blocks:
        return None
    name = _as_text(record.get(columns.id)).strip() if columns.id else ""
    title = " ".join(_as_text(record.get(columns.title)).split()) if columns.title else ""
    asked = record.get(columns.question) if columns.question and columns.question != columns.text else None
    questions = asked if isinstance(asked, list) else [asked]
    return Document(
        name or f"{file.name}:{number}",
        file.name,
        title,
        blocks,
        questions=tuple(" ".join(_as_text(one).split()) for one in questions if _as_text(one).strip()),
        line=number,
    )


def _as_text(value: Any) -> str:
    if value is None or isinstance(value, bool | dict):
        return ""
    if isinstance(value, list):
        return " ".join(map(_as_text, value))
    return str(value)
