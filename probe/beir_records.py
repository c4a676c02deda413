"""The lines of BEIR's files, read as a stream, with every fault named by file and line."""

import json
import os
import re
import zipfile
import zlib
from array import array
from collections.abc import Iterator
from typing import Any

import numpy as np

from probe.errors import DataError

__all__ = ["label", "read_lines", "read_records", "stream_records", "text_of"]

# What a damaged, encrypted or oddly packed zip, or a disk, makes reading raise.
_UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError)
_SURROGATE = re.compile("[\ud800-\udfff]")

Record = dict[str, Any]


def label(path: Any) -> str:
    """Return a file's name with its folder's, as messages show it."""
    parts = str(path).split(os.sep)
    return "/".join(parts[-3:] if "qrels" in parts[-2:-1] else parts[-2:])


def read_lines(path: Any, offset: int = 0) -> Iterator[tuple[int, str]]:
    """Yield the lines of a file that are not blank, with their numbers.

    Args:
        path: The file, as a `pathlib` or `zipfile` path.
        offset: Byte where the first line to read begins.

    Yields:
        Line number, from 1 for the first that is read, and line.

    Raises:
        DataError: The file is missing, cannot be read, or is not UTF-8.
    """
    if not path.exists():
        raise DataError(f"{label(path)} is missing: a BEIR data set has corpus.jsonl, queries.jsonl and qrels/")
    number = 0
    try:
        with path.open("rb") as file:
            file.seek(offset)
            for number, data in enumerate(file, start=1):
                line = data.decode("utf-8-sig" if number == 1 else "utf-8")
                if line.strip():
                    yield number, line.rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{label(path)}:{number}: not UTF-8 ({error.reason} at byte {error.start})") from error
    except _UNREADABLE as error:
        raise DataError(f"{label(path)}:{number + 1}: cannot be read ({error})") from error


def read_records(path: Any) -> Iterator[tuple[str, Record]]:
    """Yield the records of a JSONL file, and refuse an id that comes twice once all are read.

    Eight bytes are kept per record, not its id: a corpus need not fit into memory.

    Args:
        path: The file.

    Yields:
        Where the record is, and the record: `_id`, `title` and `text` are strings.

    Raises:
        DataError: A line is malformed, or an id comes twice.
    """
    hashes = array("q")
    for place, record in stream_records(path):
        hashes.append(hash(record["_id"]))
        yield place, record
    values = np.frombuffer(hashes, np.int64)
    values.sort()
    suspects = values[1:][values[1:] == values[:-1]]
    if len(suspects):
        _refuse_duplicate(path, set(suspects.tolist()))


def _refuse_duplicate(path: Any, suspects: set[int]) -> None:
    seen: dict[str, str] = {}
    for place, record in stream_records(path):
        name = record["_id"]
        if name in seen:
            line = seen[name].rpartition(":")[2]
            raise DataError(f"{place}: the id '{name}' is already in line {line}")
        if hash(name) in suspects:
            seen[name] = place


def stream_records(path: Any, offset: int = 0) -> Iterator[tuple[str, Record]]:
    """Yield the records of a JSONL file, whatever their ids, from a line on that begins at a byte."""
    for number, line in read_lines(path, offset):
        place = f"{label(path)}:{number}"
        yield place, _parse_record(line, place)


def _parse_record(line: str, place: str) -> Record:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{place}: not JSON ({error}); expected one object a line") from error
    if not isinstance(record, dict) or not isinstance(record.get("_id"), str | int):
        raise DataError(f'{place}: expected an object with "_id" and "text", found {line[:60]}')
    record["_id"] = str(record["_id"])
    if _SURROGATE.search(record["_id"]):
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
    return _SURROGATE.sub("\ufffd", value)


def text_of(record: Record) -> str:
    """Return a document's text by the title rule."""
    return f"{record['title']} {record['text']}".strip()
