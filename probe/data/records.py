"""The records of BEIR's files, read as a stream, with every fault named by file and line."""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from probe.errors import DataError
from probe.io.text_lines import START, SURROGATE, Mark, label, parse_json, read_lines, replace_surrogates

__all__ = ["Entry", "JsonLines", "Record", "Records", "check_id", "check_record", "read_unique", "text_of"]

Record = dict[str, Any]


class Entry(NamedTuple):
    """A record, and where it is.

    Attributes:
        location: File and line, as messages name them.
        mark: Where reading begins to come to it.
        record: `_id`, `title` and `text` are strings.
    """

    location: str
    mark: Mark
    record: Record


class Records(Protocol):
    """Records in one file or several."""

    @property
    def name(self) -> str:
        """What messages call them."""

    def entries(self, start: Mark = START) -> Iterator[Entry]:
        """Yield the records from a mark on, in file order, whatever their ids."""


@dataclass(frozen=True)
class JsonLines:
    """The records of a JSONL file, plain or packed by gzip.

    Attributes:
        path: The file, as a `pathlib`, `zipfile` or remote path.
    """

    path: Any

    @property
    def name(self) -> str:
        """The file's name with its folder's."""
        return label(self.path)

    def entries(self, start: Mark = START) -> Iterator[Entry]:
        """Yield the records from a mark on.

        Raises:
            DataError: The file cannot be read, or a line is malformed.
        """
        for mark, line in read_lines(self.path, start):
            location = f"{label(self.path)}:{mark.number + 1}"
            yield Entry(location, mark, check_record(parse_json(line, location), location, line))


def read_unique(records: Records) -> Iterator[Entry]:
    """Yield records, and refuse an id that comes twice once all are read.

    Eight bytes are kept per record, not its id: a corpus need not fit into memory.

    Raises:
        DataError: A record is malformed, or an id comes twice.
    """
    hashes = array("q")
    for entry in records.entries():
        hashes.append(hash(entry.record["_id"]))
        yield entry
    values = np.frombuffer(hashes, np.int64)
    values.sort()
    suspects = values[1:][values[1:] == values[:-1]]
    if len(suspects):
        _refuse_duplicate(records, set(suspects.tolist()))


def _refuse_duplicate(records: Records, suspects: set[int]) -> None:
    seen: dict[str, str] = {}
    for location, _, record in records.entries():
        name = record["_id"]
        if name in seen:
            raise DataError(f"{location}: the id '{name}' is already in {_as_seen_from(location, seen[name])}")
        if hash(name) in suspects:
            seen[name] = location


def _as_seen_from(location: str, other: str) -> str:
    """Say where another record is; in the same file its line is enough."""
    file, _, spot = other.rpartition(":")
    spot = f"line {spot}" if spot.isdigit() else spot
    return spot if location.startswith(f"{file}:") else f"{spot} of {file}"


def check_id(value: Any, location: str, name: str = "_id") -> str:
    """Return an id without white space around it, as corpus, queries and judgements alike have it.

    Args:
        value: What is there: a text, or a whole number.
        location: File and line, as messages name them.
        name: What messages call the id.

    Raises:
        DataError: It is none, empty, or holds what no metric can tell apart.
    """
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise DataError(f'{location}: expected a text or a whole number as "{name}", found {ascii(value)[:60]}')
    checked = str(value).strip()
    if not checked:
        raise DataError(f'{location}: the id "{name}" is empty: expected a text or a whole number')
    if SURROGATE.search(checked):
        raise DataError(f"{location}: half a character (a lone surrogate) in the id {checked!a}")
    if "\0" in checked:
        raise DataError(f"{location}: a NUL character in the id {checked!a}, where trec_eval ends it: take it out")
    return checked


def check_record(record: Any, location: str, shown: str) -> Record:
    """Return a record with its id, title and text as strings; messages quote it as `shown`.

    Raises:
        DataError: It is none.
    """
    if not isinstance(record, dict) or record.get("_id") is None:
        raise DataError(f'{location}: expected an object with "_id" and "text", found {shown[:60]}')
    record["_id"] = check_id(record["_id"], location)
    for key in ("title", "text"):
        record[key] = _read_string(record, key, location)
    return record


def _read_string(record: Record, key: str, location: str) -> str:
    value = record.get(key)
    if value is None and (key == "title" or key in record):
        return ""
    if not isinstance(value, str):
        found = "nothing" if value is None else f"a {type(value).__name__}"
        raise DataError(f'{location}: expected a string as "{key}", found {found}')
    return replace_surrogates(value)


def text_of(record: Record) -> str:
    """Return a document's text by the title rule."""
    return f"{record['title']} {record['text']}".strip()
