"""Read training rows from JSONL and CSV files: the columns tell the form, and every fault is named by file and line."""

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from adaptors.rows.rows import Listwise, Pairwise, Pointwise, Row
from probe.errors import DataError
from probe.io.column_files import column_names, column_text, read_columns
from probe.io.text_lines import label

__all__ = ["FORMS", "read_tuning_file"]

FORMS = "query, document, label; query, positive[, negative or negative_1, negative_2, ...]; query, documents, labels"

_OWN = {"point-wise": ("document", "label"), "pair-wise": ("positive",), "list-wise": ("documents", "labels")}
_NUMBERED = re.compile(r"negative_([1-9]\d*)")

_Read = Callable[[dict[str, Any], str], Row]


def read_tuning_file(path: Path) -> Iterator[Row]:
    """Yield the rows of a file, all of one form.

    Args:
        path: A JSONL or CSV file in UTF-8.

    Yields:
        Point-wise, pair-wise or list-wise rows, as the columns say; other columns are left out.

    Raises:
        CallError: There is no such file, or it is of another kind.
        DataError: The columns are of no form or of two, or a value is wrong.
    """
    names = column_names(path)
    form = _form_of(names, path)
    negatives = _negatives(names) if form == "pair-wise" else []
    for location, record in read_columns(path, ["query", *_OWN[form], *negatives]):
        yield _READ[form](record, location)


def _form_of(names: Mapping[str, str], path: Path) -> str:
    found = [form for form, own in _OWN.items() if any(name in names for name in own)]
    negative = next((name for name in names if name.startswith("negative")), None)
    if negative and "pair-wise" not in found:
        found.append("pair-wise")
    if len(found) != 1:
        columns = ", ".join(names) or "no columns"
        fault = f"columns of two forms ({' and '.join(found)})" if found else "columns of no form"
        raise DataError(f"{label(path)}:1: {fault}: {columns[:80]}\nexpected {FORMS}")
    missing = [name for name in ("query", *_OWN[found[0]]) if name not in names]
    if missing:
        has = f"{', '.join(names)[:80]} ({found[0]})"
        raise DataError(f'{label(path)}:1: the column "{missing[0]}" is missing, found {has}\nexpected {FORMS}')
    return found[0]


def _negatives(names: Mapping[str, str]) -> list[str]:
    """Return the columns of negatives in order."""
    found = [name for name in names if name.startswith("negative")]
    if found == ["negative"]:
        return found
    for name in found:
        if not _NUMBERED.fullmatch(name):
            raise DataError(
                f'{names[name]}: the column "{name}": expected negative alone, or negative_1, negative_2, ...'
            )
    found.sort(key=lambda name: int(name.removeprefix("negative_")))
    for number, name in enumerate(found, start=1):
        if name != f"negative_{number}":
            raise DataError(
                f'{names[name]}: the column "{name}" without "negative_{number}": number them without a gap'
            )
    return found


def _read_point(record: dict[str, Any], location: str) -> Pointwise:
    query, document = _text(record, "query", location), _text(record, "document", location)
    return Pointwise(query, document, _number(record["label"], '"label"', location), location)


def _read_pair(record: dict[str, Any], location: str) -> Pairwise:
    query, positive = _text(record, "query", location), _text(record, "positive", location)
    negatives = tuple(_text(record, name, location) for name in record if name.startswith("negative"))
    if positive in negatives:
        raise DataError(f"{location}: the positive is among its own negatives: '{positive[:60]}'")
    return Pairwise(query, positive, negatives, location=location)


def _read_list(record: dict[str, Any], location: str) -> Listwise:
    query = _text(record, "query", location)
    found, given = _items(record, "documents", location), _items(record, "labels", location)
    if len(found) != len(given):
        raise DataError(f"{location}: {len(found)} documents and {len(given)} labels: expected one label per document")
    if len(found) < 2:
        raise DataError(f"{location}: {len(found)} documents in a list: expected two or more to compare")
    numbered = {f"documents[{number}]": text for number, text in enumerate(found)}
    documents = tuple(_text(numbered, name, location) for name in numbered)
    labels = tuple(_number(value, f'"labels[{number}]"', location) for number, value in enumerate(given))
    if len(set(documents)) < len(documents):
        raise DataError(f"{location}: a document comes twice in one list: expected each once")
    # A teacher's scores may all be below zero, but they differ.
    if max(labels) <= 0 and len(set(labels)) == 1:
        raise DataError(
            f"{location}: no document of the list is relevant: expected a label above 0, or scores that differ"
        )
    return Listwise(query, documents, labels, location)


_READ: dict[str, _Read] = {"point-wise": _read_point, "pair-wise": _read_pair, "list-wise": _read_list}


def _text(record: dict[str, Any], column: str, location: str) -> str:
    text = column_text(record, column, location)
    if not text:
        raise DataError(f'{location}: "{column}" is empty: expected a text')
    return text


def _items(record: dict[str, Any], column: str, location: str) -> list[Any]:
    value = record[column]
    try:
        items = json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        items = None
    if not isinstance(items, list):
        raise DataError(f'{location}: expected a JSON list as "{column}", found {json.dumps(value)[:60]}')
    return items


def _number(value: Any, field: str, location: str) -> float:
    try:
        number = math.nan if isinstance(value, bool) or not isinstance(value, str | int | float) else float(value)
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise DataError(f"{location}: expected a finite number as {field}, found {json.dumps(value)[:60]}")
    return number
