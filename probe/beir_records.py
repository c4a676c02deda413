"""The records of BEIR's files, read as a stream, with every fault named by file and line."""

import gzip
import json
import os
import re
import zipfile
import zlib
from array import array
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from probe.errors import DataError

__all__ = [
    "START",
    "SURROGATE",
    "UNREADABLE",
    "Entry",
    "JsonLines",
    "Mark",
    "Record",
    "Records",
    "check_record",
    "label",
    "parse_json",
    "read_lines",
    "read_unique",
    "text_of",
]

# What a damaged, encrypted or oddly packed file, a disk or a network makes reading raise.
UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError)
# Half a character, which JSON can write and UTF-8 cannot.
SURROGATE = re.compile("[\ud800-\udfff]")

Record = dict[str, Any]


class Mark(NamedTuple):
    """A place in a file that reading can begin at.

    Attributes:
        offset: Bytes before it; in Parquet files, rows.
        number: Lines or rows before it.
    """

    offset: int
    number: int


START = Mark(0, 0)


class Entry(NamedTuple):
    """A record, and where it is.

    Attributes:
        place: File and line, as messages name them.
        mark: Where reading begins to come to it.
        record: `_id`, `title` and `text` are strings.
    """

    place: str
    mark: Mark
    record: Record


class Records(Protocol):
    """Records in one file or several."""

    @property
    def name(self) -> str:
        """What messages call them."""
        ...

    def entries(self, start: Mark = START) -> Iterator[Entry]:
        """Yield the records from a mark on, in file order, whatever their ids."""
        ...


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
            place = f"{label(self.path)}:{mark.number + 1}"
            yield Entry(place, mark, check_record(parse_json(line, place), place, line))


def label(path: Any) -> str:
    """Return a file's name with its folder's, as messages show it."""
    parts = str(path).split(os.sep)
    return "/".join(parts[-3:] if "qrels" in parts[-2:-1] else parts[-2:])


def read_lines(path: Any, start: Mark = START) -> Iterator[tuple[Mark, str]]:
    """Yield the lines of a file that are not blank, with where they begin.

    Args:
        path: The file, as a `pathlib`, `zipfile` or remote path; what ends in `.gz` is unpacked.
        start: Where to begin.

    Yields:
        Mark and line.

    Raises:
        DataError: The file is missing, cannot be read, or is not UTF-8.
    """
    offset, number = start
    try:
        if not path.exists():
            raise DataError(f"{label(path)} is missing: a BEIR data set has corpus.jsonl, queries.jsonl and qrels/")
        with _open(path) as file:
            file.seek(offset)
            for data in file:
                line = data.decode("utf-8" if number else "utf-8-sig")
                if line.strip():
                    yield Mark(offset, number), line.rstrip("\r\n")
                offset, number = offset + len(data), number + 1
    except UnicodeDecodeError as error:
        raise DataError(f"{label(path)}:{number + 1}: not UTF-8 ({error.reason} at byte {error.start})") from error
    except UNREADABLE as error:
        raise DataError(f"{label(path)}:{number + 1}: cannot be read ({error})") from error


@contextmanager
def _open(path: Any) -> Iterator[Any]:
    with ExitStack() as stack:
        file = stack.enter_context(path.open("rb"))
        yield stack.enter_context(gzip.open(file)) if path.name.endswith(".gz") else file


def read_unique(records: Records) -> Iterator[Entry]:
    """Yield records, and refuse an id that comes twice once all are read.

    Eight bytes are kept per record, not its id: a corpus need not fit into memory.

    Args:
        records: The records.

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
    for place, _, record in records.entries():
        name = record["_id"]
        if name in seen:
            raise DataError(f"{place}: the id '{name}' is already in {_as_seen_from(place, seen[name])}")
        if hash(name) in suspects:
            seen[name] = place


def _as_seen_from(place: str, other: str) -> str:
    """Say where another record is; in the same file its line is enough."""
    file, _, spot = other.rpartition(":")
    spot = f"line {spot}" if spot.isdigit() else spot
    return spot if place.startswith(f"{file}:") else f"{spot} of {file}"


def parse_json(line: str, place: str) -> Any:
    """Return what a line of JSON holds.

    Args:
        line: The line.
        place: File and line, for messages.

    Raises:
        DataError: It is no JSON.
    """
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{place}: not JSON ({error}); expected one object a line") from error


def check_record(record: Any, place: str, shown: str) -> Record:
    """Return a record with its id, title and text as strings.

    Args:
        record: What was read.
        place: File and line, for messages.
        shown: What was read, as messages show it.

    Raises:
        DataError: It is none.
    """
    if not isinstance(record, dict) or not isinstance(record.get("_id"), str | int):
        raise DataError(f'{place}: expected an object with "_id" and "text", found {shown[:60]}')
    record["_id"] = str(record["_id"])
    if SURROGATE.search(record["_id"]):
        raise DataError(f"{place}: half a character (a lone surrogate) in the id {record['_id']!a}")
    for key in ("title", "text"):
        record[key] = _read_string(record, key, place)
    return record


def _read_string(record: Record, key: str, place: str) -> str:
    value = record.get(key)
    if value is None and (key == "title" or key in record):
        return ""
    if not isinstance(value, str):
        found = "nothing" if value is None else f"a {type(value).__name__}"
        raise DataError(f'{place}: expected a string as "{key}", found {found}')
    return SURROGATE.sub("\ufffd", value)


def text_of(record: Record) -> str:
    """Return a document's text by the title rule."""
    return f"{record['title']} {record['text']}".strip()
