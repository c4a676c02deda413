"""Readers of JSONL and CSV files with named columns; errors give the file and line."""

import csv
import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from probe.errors import CallError, DataError
from probe.io.text_lines import LONGEST_LINE, bounded_lines, label, replace_surrogates

__all__ = ["RECORD_FILES", "column_names", "column_text", "finite_number", "read_columns"]

RECORD_FILES = (".jsonl", ".csv")

# Python's float() also accepts underscores and digits of other scripts; files may not use them.
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def column_names(path: Path) -> dict[str, str]:
    """Return all columns of a file, each with the file and line of its first occurrence.

    Raises:
        CallError: If the file is missing or of an unsupported type.
        DataError: If a line is malformed.
    """
    _check_file(path)
    if path.suffix.lower() == ".csv":
        csv.field_size_limit(LONGEST_LINE)
        try:
            header = next(csv.reader((line for _, line in _lines(path)), strict=True), [])
        except csv.Error as error:
            raise DataError(f"{label(path)}:1: not CSV ({error})") from error
        return {name.strip(): f"{label(path)}:1" for name in header}
    found: dict[str, str] = {}
    for location, record in _read_jsonl(path, ()):
        for name in record:
            found.setdefault(name, location)
    return found


def read_columns(path: Path, columns: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the records of a file with the requested columns.

    Args:
        path: A JSONL or CSV file in UTF-8, with or without a byte order mark.
        columns: Required columns; other columns are dropped.

    Yields:
        The location (file:line) and the values by column: strings for CSV, any JSON value for JSONL.

    Raises:
        CallError: If the file is missing or of an unsupported type.
        DataError: If a line is malformed or lacks a column.
    """
    _check_file(path)
    for location, record in (_read_jsonl if path.suffix.lower() == ".jsonl" else _read_csv)(path, columns):
        yield location, {column: record[column] for column in columns}


def column_text(record: dict[str, Any], column: str, location: str) -> str:
    """Return a text field, stripped, with lone surrogates replaced.

    Raises:
        DataError: If the value is not a string.
    """
    value = record[column]
    if not isinstance(value, str):
        raise DataError(f'{location}: expected a string as "{column}", found {json.dumps(value)[:60]}')
    return replace_surrogates(value).strip()


def finite_number(value: Any) -> float | None:
    """Return a value as a finite float if it is a number or a decimal string, else None."""
    if isinstance(value, str):
        value = float(value) if _NUMBER.fullmatch(value.strip()) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= sys.float_info.max:
        return None
    return float(value)


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise CallError(f"file '{path}' not found")
    if path.suffix.lower() not in RECORD_FILES:
        raise CallError(f"unsupported file type '{path.suffix}' of '{path}': expected {' or '.join(RECORD_FILES)}")


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield all lines with their line endings, numbered from 1."""
    number = 0
    try:
        with path.open("rb") as file:
            for number, data in enumerate(bounded_lines(file), start=1):
                yield number, data.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{label(path)}:{number}: not UTF-8 ({error.reason} at byte {error.start})") from error
    except OverflowError as error:
        raise DataError(f"{label(path)}:{number + 1}: {error}") from error
    except OSError as error:
        raise DataError(f"{label(path)}: cannot be read ({error.strerror})") from error


def _read_jsonl(path: Path, columns: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    expected = "expected an object" + " with " * bool(columns) + " and ".join(f'"{column}"' for column in columns)
    for number, line in _lines(path):
        if not line.strip():
            continue
        location = f"{label(path)}:{number}"
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{location}: not JSON ({error}); {expected} on every line") from error
        if not isinstance(record, dict) or not set(columns) <= record.keys():
            raise DataError(f"{location}: {expected}, found {line.strip()[:60]}")
        yield location, record


def _read_csv(path: Path, columns: Sequence[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    csv.field_size_limit(LONGEST_LINE)
    reader = csv.DictReader((line for _, line in _lines(path)), strict=True)
    begun = 1
    try:
        names = [name.strip() for name in reader.fieldnames or ()]
        if not set(columns) <= set(names):
            found = ", ".join(map(repr, names)) or "an empty file"
            expected = f"comma-separated columns {', '.join(columns)}"
            raise DataError(f"{label(path)}:1: expected {expected}, found {found[:80]}")
        if twice := [name for name in columns if names.count(name) > 1]:
            raise DataError(f"{label(path)}:1: duplicate column {twice[0]!r}: rename or remove one")
        reader.fieldnames = names
        begun = reader.line_num + 1
        for row in reader:
            location = f"{label(path)}:{reader.line_num}"
            if None in row or None in row.values():
                more = "more" if None in row else "fewer"
                raise DataError(
                    f"{location}: {more} values than columns; put texts that contain commas in double quotes"
                )
            yield location, row
            begun = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{label(path)}:{begun}: not CSV ({error})") from error
