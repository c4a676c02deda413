"""The records of BEIR's files, read as a stream, with every fault named by file and line."""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from probe.errors import DataError
from probe.io.text_lines import START, SURROGATE, Mark, label, parse_json, read_lines, replace_surrogates

__all__ = ["Entry", "JsonLines", "Record", "Records", "check_record", "read_unique", "text_of"]

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


def check_record(record: Any, location: str, shown: str) -> Record:
    """Return a record with its id, title and text as strings; messages quote it as `shown`.

    Raises:
        DataError: It is none.
    """
    if not isinstance(record, dict) or not isinstance(record.get("_id"), str | int):
        raise DataError(f'{location}: expected an object with "_id" and "text", found {shown[:60]}')
    record["_id"] = str(record["_id"])
    if SURROGATE.search(record["_id"]):
        raise DataError(f"{location}: half a character (a lone surrogate) in the id {record['_id']!a}")
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
