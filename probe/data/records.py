"""Streaming reader of BEIR records from JSON lines or Parquet; errors give the file and line."""

from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any, NamedTuple, Protocol

import numpy as np

from probe.errors import DataError, first_line
from probe.io.text_lines import (
    LONGEST_LINE,
    START,
    SURROGATE,
    UNREADABLE,
    LineFile,
    Mark,
    label,
    parse_json,
    read_lines,
    replace_surrogates,
)

__all__ = [
    "Entry",
    "JsonLines",
    "OpenJsonLines",
    "ParquetRows",
    "Record",
    "Records",
    "check_id",
    "check_record",
    "open_parquet",
    "read_unique",
    "text_of",
]

_NEEDED = ("_id", "text")
_COLUMNS = ("_id", "title", "text", "metadata")
_ROWS_AT_ONCE = 1024

# Batch size within a column; otherwise a whole row group is read.
_BUFFER = 1 << 22

Record = dict[str, Any]


class Entry(NamedTuple):
    """A record and its location.

    Attributes:
        location: File and line, for messages.
        mark: Position from which it can be read again.
        record: `_id`, `title` and `text`, all strings.
    """

    location: str
    mark: Mark
    record: Record


class Records(Protocol):
    """Records in one or several files."""

    @property
    def name(self) -> str:
        """Name for messages."""

    def entries(self, start: Mark = START) -> Iterator[Entry]:
        """Yield the records from a mark on, in file order; ids are not checked for uniqueness."""


@dataclass(frozen=True)
class JsonLines:
    """The records of a JSONL file, plain or gzipped.

    Attributes:
        path: A `pathlib`, `zipfile` or remote path.
    """

    path: Any

    @property
    def name(self) -> str:
        """The file's name with its parent folder's."""
        return label(self.path)

    def entries(self, start: Mark = START) -> Iterator[Entry]:
        """Yield the records from a mark on.

        Raises:
            DataError: If the file is unreadable or a line is malformed.
        """
        for mark, line in self._lines(start):
            location = f"{label(self.path)}:{mark.number + 1}"
            yield Entry(location, mark, check_record(parse_json(line, location), location, line))

    def _lines(self, start: Mark) -> Iterator[tuple[Mark, str]]:
        return read_lines(self.path, start)


@dataclass(frozen=True)
class OpenJsonLines(JsonLines):
    """The records of a JSONL file that stays open: parts in rising order decompress every byte once."""

    @cached_property
    def _file(self) -> LineFile:
        return LineFile(self.path)

    def close(self) -> None:
        """Close the file; the next read opens it again."""
        self._file.close()

    def _lines(self, start: Mark) -> Iterator[tuple[Mark, str]]:
        return self._file.lines(start)


@dataclass(frozen=True)
class ParquetRows:
    """The records of Parquet files, one file after another.

    Attributes:
        files: `pathlib`, `zipfile` or remote paths.
        groups: Per file, the number of rows in each row group.
    """

    files: tuple[Any, ...]
    groups: tuple[tuple[int, ...], ...]

    @property
    def name(self) -> str:
        """The first file's name with its parent folder's, and the number of further files."""
        more = len(self.files) - 1
        return f"{label(self.files[0])}{f' (with {more} more)' if more else ''}"

    def entries(self, start: Mark = START) -> Iterator[Entry]:
        """Yield the records from a mark on, skipping earlier row groups.

        Raises:
            DataError: If a file is unreadable or a row is malformed.
        """
        before = 0
        for path, groups in zip(self.files, self.groups, strict=True):
            first = max(0, start.offset - before)
            for number, record in _read_rows(path, groups, first):
                location = f"{label(path)}:row {number + 1}"
                mark = Mark(before + number, before + number)
                yield Entry(location, mark, check_record(record, location, str(record)))
            before += sum(groups)


def open_parquet(files: Sequence[Any]) -> ParquetRows:
    """Return the records of Parquet files; only their footers are read.

    Raises:
        DataError: If a file is unreadable or lacks columns.
    """
    return ParquetRows(tuple(files), tuple(_describe(path) for path in files))


def _describe(path: Any) -> tuple[int, ...]:
    with _opened(path) as parquet:
        names = parquet.schema_arrow.names
        if missing := [name for name in _NEEDED if name not in names]:
            raise DataError(
                f"{label(path)}: missing column {' and '.join(missing)}: "
                f"expected _id, text and optionally title, found {', '.join(names)}"
            )
        groups = [parquet.metadata.row_group(number) for number in range(parquet.num_row_groups)]
        _refuse_long(groups, path)
        return tuple(group.num_rows for group in groups)


def _refuse_long(groups: Sequence[Any], path: Any) -> None:
    """Reject a file whose values are longer on average than the limit for JSON lines."""
    columns = [(group.column(number), group.num_rows) for group in groups for number in range(group.num_columns)]
    if any(column.total_uncompressed_size > LONGEST_LINE * max(1, rows) for column, rows in columns):
        raise DataError(f"{label(path)}: texts longer than {LONGEST_LINE >> 20} MiB: split them into passages")


def _read_rows(path: Any, groups: Sequence[int], first: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield number and record of the rows from `first` on."""
    passed, group = 0, 0
    while group < len(groups) and passed + groups[group] <= first:
        passed, group = passed + groups[group], group + 1
    if group < len(groups):
        rows = enumerate(_read_groups(path, range(group, len(groups))), start=passed)
        yield from islice(rows, first - passed, None)


def _read_groups(path: Any, groups: range) -> Iterator[dict[str, Any]]:
    with _opened(path) as parquet:
        columns = [name for name in _COLUMNS if name in parquet.schema_arrow.names]
        for batch in parquet.iter_batches(_ROWS_AT_ONCE, row_groups=list(groups), columns=columns):
            yield from batch.to_pylist()


@contextmanager
def _opened(path: Any) -> Iterator[Any]:
    from pyarrow.lib import ArrowException
    from pyarrow.parquet import ParquetFile

    try:
        with path.open("rb") as file:
            yield ParquetFile(file, buffer_size=_BUFFER)
    except (ArrowException, UnicodeDecodeError, *UNREADABLE) as error:
        reason = first_line(error)
        raise DataError(f"{label(path)}: not a readable Parquet file ({reason})") from error


def read_unique(records: Records) -> Iterator[Entry]:
    """Yield all records, then raise if an id was not unique.

    Keeps eight bytes per record instead of its id, so a corpus need not fit into memory.

    Raises:
        DataError: If a record is malformed or an id is not unique.
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
            raise DataError(f"{location}: duplicate id '{name}', first used in {_as_seen_from(location, seen[name])}")
        if hash(name) in suspects:
            seen[name] = location


def _as_seen_from(location: str, other: str) -> str:
    """Return the location of another record; within the same file only its line."""
    file, _, spot = other.rpartition(":")
    spot = f"line {spot}" if spot.isdigit() else spot
    return spot if location.startswith(f"{file}:") else f"{spot} of {file}"


def check_id(value: Any, location: str, name: str = "_id") -> str:
    """Return an id as a stripped string, the same way for corpus, queries and qrels.

    Args:
        value: A string or an integer.
        location: File and line, for messages.
        name: Field name for messages.

    Raises:
        DataError: If it is of another type, empty, or contains characters that break metrics.
    """
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise DataError(f'{location}: expected a string or an integer as "{name}", found {ascii(value)[:60]}')
    checked = str(value).strip()
    if not checked:
        raise DataError(f'{location}: empty id "{name}": expected a string or an integer')
    if SURROGATE.search(checked):
        raise DataError(f"{location}: invalid character (lone surrogate) in the id {checked!a}: remove it")
    if "\0" in checked:
        raise DataError(f"{location}: NUL character in the id {checked!a} (trec_eval would truncate it): remove it")
    return checked


def check_record(record: Any, location: str, shown: str) -> Record:
    """Return a record with id, title and text as strings; messages quote it as `shown`.

    Raises:
        DataError: If a field is missing or of another type.
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
