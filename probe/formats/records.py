"""Files with records: CSV, TSV, JSON, JSON lines and Parquet, a document per record."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

from probe.formats.document import Block, Document, PartlyRead, RecordFields, SourceFile, UnreadableFile
from probe.formats.record_files import Damage, Record, read_records
from probe.io.text_lines import replace_surrogates

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
    damage, empty = Damage(), Damage()
    records = read_records(file, damage)
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


def _report(count: int, damage: Damage, empty: Damage) -> None:
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
