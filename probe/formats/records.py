"""Files with records: CSV, TSV, JSON, JSON lines and Parquet, a document per record; damaged ones are counted."""

import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import IO, Any

from probe.formats.decoding import open_text, read_text
from probe.formats.document import Block, Document, PartlyRead, RecordFields, SourceFile, UnreadableFile
from probe.io.text_lines import LONGEST_LINE, replace_surrogates

__all__ = ["read"]

# Usual names, in the order in which they are preferred.
_TEXTS = (
    *("text", "answer", "content", "body", "passage", "document", "contents", "description", "abstract", "context"),
    *("answers", "positive", "response", "article", "message", "comment", "review", "sentence", "summary"),
)
_TITLES = ("title", "name", "subject", "heading", "headline")
_IDS = (
    "_id",
    "id",
    "docid",
    "doc_id",
    "document_id",
    "passage_id",
    "corpus-id",
    "corpus_id",
    "pid",
    "key",
    "uuid",
    "url",
)
_QUESTIONS = ("question", "query", "questions", "queries", "anchor")
# Records that say which columns there are; JSON leaves out empty ones.
_FIRST_RECORDS = 100
_ROWS_AT_ONCE = 256
_SAMPLE_LINES = 200
# Batch size within a column; otherwise a whole row group is read.
_BUFFER = 1 << 22

Record = Mapping[str, Any]


@dataclass
class _Damage:
    """Records that could not be read.

    Attributes:
        count: Their number; of lines swallowed by an open quotation mark, all are counted.
        first: Line or number of the first of them.
        unit: What `first` counts.
    """

    count: int = 0
    first: int = 0
    unit: str = "line"

    def add(self, number: int, count: int = 1) -> None:
        """Count further records, of which the first is at a line or number."""
        self.first = self.first or number
        self.count += count


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
        PartlyRead: After the last record, if some are damaged or have no text.
    """
    damage, empty = _Damage(), _Damage()
    records = _read_records(file, damage)
    first = list(islice(records, _FIRST_RECORDS))
    columns = (
        _find_columns(list(dict.fromkeys(name for _, record in first for name in record)), fields) if first else None
    )
    count = 0
    for number, record in chain(first, records):
        document = _as_document(file, number, record, columns=columns) if columns else None
        if document is None:
            empty.add(number)
            continue
        count += 1
        yield document
    _report(count, damage, empty)


def _report(count: int, damage: _Damage, empty: _Damage) -> None:
    """Raise an error that says how many records are missing and why."""
    parts = [
        f"{one.count:,} {why}, first at {one.unit} {one.first}"
        for one, why in ((damage, "damaged"), (empty, "without text"))
        if one.count
    ]
    if not count:
        raise UnreadableFile("no record with text" + f" ({'; '.join(parts)})" * bool(parts))
    if parts:
        raise PartlyRead(f"of {count + damage.count + empty.count:,} records {'; '.join(parts)}")


def _find_columns(names: Sequence[str], fields: RecordFields) -> _Columns:
    text = _find(names, fields.text, _TEXTS, option="--text-field")
    if text is None:
        raise UnreadableFile(
            f"no column of the usual names (text, content, body, answer, ...): {_name_one(names, '--text-field')}"
        )
    title = _find(names, fields.title, _TITLES, option="--title-field")
    own_id = _find(names, fields.id, _IDS, option="--id-field")
    question = _find(names, None, _QUESTIONS, option="")
    used = (text,)
    return _Columns(text, *(None if one in used else one for one in (title, own_id, question)))


def _find(names: Sequence[str], wanted: str | None, usual: Sequence[str], *, option: str) -> str | None:
    """Return the column that is wanted, or the first with a usual name."""
    if wanted is None:
        return next((name for one in usual for name in names if str(name).strip().lower() == one), None)
    if wanted not in names:
        raise UnreadableFile(f"no column '{wanted}': {_name_one(names, option)}")
    return wanted


def _name_one(names: Sequence[str], option: str) -> str:
    found = ", ".join(map(str, names))
    return f"name one of {found if len(found) <= 100 else f'{found[:100]}...'} with {option}"


def _as_document(file: SourceFile, number: int, record: Record, *, columns: _Columns) -> Document | None:
    blocks = tuple(map(Block, _paragraphs(_as_text(record.get(columns.text)))))
    if not blocks:
        return None
    name = _one_line(record.get(columns.id)) if columns.id else ""
    title = _one_line(record.get(columns.title)) if columns.title else ""
    asked = record.get(columns.question) if columns.question else None
    questions = tuple(filter(None, map(_one_line, asked if isinstance(asked, list) else [asked])))
    return Document(name or f"{file.name}:{number}", file.name, title, blocks, questions=questions, line=number)


def _paragraphs(text: str) -> list[str]:
    return [" ".join(part.split()) for part in re.split(r"\n\s*\n", text.replace("\r\n", "\n")) if part.strip()]


def _one_line(value: Any) -> str:
    return " ".join(_as_text(value).split())


def _as_text(value: Any) -> str:
    if value is None or isinstance(value, bool | Mapping):
        return ""
    if isinstance(value, list):
        return "\n\n".join(map(_as_text, value))
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return replace_surrogates(str(value))


def _read_records(file: SourceFile, damage: _Damage) -> Iterator[tuple[int, Record]]:
    """Yield the records of a file with their lines, in JSON and Parquet with their numbers, from 1.

    Args:
        file: The file; its name says the format.
        damage: Counts records that cannot be read.

    Raises:
        UnreadableFile: If the file is not of its format.
    """
    name = file.path.name.lower().removesuffix(".gz")
    if name.endswith((".jsonl", ".ndjson")):
        yield from _json_lines(file, damage)
    elif name.endswith(".json"):
        yield from _json_array(file, damage)
    elif name.endswith(".parquet"):
        yield from _parquet(file)
    else:
        yield from _separated(file, damage, tabs=name.endswith((".tsv", ".tab")))


def _lines(text: IO[str], damage: _Damage) -> Iterator[str]:
    """Yield the lines of a file; one that is too long counts as damaged, and yields an empty line."""
    number = 0
    while line := text.readline(LONGEST_LINE):
        number += 1
        too_long = len(line) == LONGEST_LINE and not line.endswith("\n")
        while line and len(line) == LONGEST_LINE and not line.endswith("\n"):
            line = text.readline(LONGEST_LINE)
        if too_long:
            damage.add(number)
        yield "\n" if too_long else line


def _json_lines(file: SourceFile, damage: _Damage) -> Iterator[tuple[int, Record]]:
    with open_text(file.path) as text:
        for number, line in enumerate(_lines(text, damage), start=1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                record = None
            if isinstance(record, dict):
                yield number, record
            else:
                damage.add(number)


def _json_array(file: SourceFile, damage: _Damage) -> Iterator[tuple[int, Record]]:
    try:
        found = json.loads(read_text(file.path))
    except (ValueError, RecursionError) as error:
        raise UnreadableFile("not JSON") from error
    if isinstance(found, dict):  # {"data": [...]}
        found = next((value for value in found.values() if isinstance(value, list) and value), None)
    if not isinstance(found, list) or not any(isinstance(one, dict) for one in found):
        raise UnreadableFile("JSON without a list of objects")
    damage.unit = "record"
    for number, record in enumerate(found, start=1):
        if isinstance(record, dict):
            yield number, record
        else:
            damage.add(number)


def _parquet(file: SourceFile) -> Iterator[tuple[int, Record]]:
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(file.path, buffer_size=_BUFFER) as table:
            schema = table.schema_arrow
            columns = [one.name for one in schema if not _is_numbers(one.type)]
            batches = table.iter_batches(_ROWS_AT_ONCE, columns=columns)
            yield from enumerate((record for batch in batches for record in batch.to_pylist()), start=1)
    except (ArrowException, OSError, UnicodeDecodeError) as error:
        raise UnreadableFile("not a readable Parquet file") from error


def _is_numbers(kind: Any) -> bool:
    """Return whether a column holds vectors, which are long and never text."""
    from pyarrow import types

    is_list = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    return bool(is_list and (types.is_floating(kind.value_type) or types.is_integer(kind.value_type)))


def _separated(file: SourceFile, damage: _Damage, *, tabs: bool) -> Iterator[tuple[int, Record]]:
    csv.field_size_limit(LONGEST_LINE)
    with open_text(file.path) as text:
        sample = list(islice(_lines(text, _Damage()), _SAMPLE_LINES))
    form: dict[str, Any] = {"delimiter": "\t" if tabs else max(",;\t", key=sample[0].count), "strict": True}
    if tabs and not _is_quoted(sample, form):
        form["quoting"] = csv.QUOTE_NONE
    with open_text(file.path) as text:
        lines = _lines(text, damage)
        names = [name.strip().removeprefix("\ufeff") for name in next(csv.reader([next(lines)], **form), [])]
        if twice := next((name for name in names if name and names.count(name) > 1), None):
            raise UnreadableFile(f"two columns are called '{twice}': rename one")
        yield from _rows(csv.reader(lines, **form), names, damage)


def _is_quoted(lines: list[str], form: dict[str, Any]) -> bool:
    """Return whether quotation marks enclose values; in many tab-separated files they are part of the text."""
    try:
        rows = [row for row in csv.reader(lines, **form) if row]
    except csv.Error as error:
        return len(lines) == _SAMPLE_LINES and "unexpected end" in str(error)
    return all(len(row) == len(rows[0]) for row in rows)


def _rows(rows: Any, names: list[str], damage: _Damage) -> Iterator[tuple[int, Record]]:
    """Yield the rows below the head; missing values at the end of a row are empty."""
    while True:
        begins, row = rows.line_num + 2, None
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error:
            pass
        if row is not None and not row:
            continue
        if row is None or any(row[len(names) :]) or (len(row) == 1 and len(names) > 1):
            damage.add(begins, max(1, rows.line_num + 2 - begins))
            continue
        yield begins, dict(zip(names, [*row, *[""] * (len(names) - len(row))], strict=False))
