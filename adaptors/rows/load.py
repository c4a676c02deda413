"""Load training rows of an encoder: a BEIR data set's training judgements, or a JSONL or CSV file.

The columns of a file tell its form, and every fault is named by file and line.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adaptors.rows.rows import Listwise, Pairwise, Pointwise, Row
from probe.data.dataset import Dataset, Defects
from probe.data.loading import load_dataset
from probe.errors import DataError
from probe.io.column_files import RECORD_FILES, column_names, column_text, finite_number, read_columns
from probe.io.text_lines import label

__all__ = ["TuningData", "load_tuning_data"]

_FORMS = "query, document, label; query, positive[, negative or negative_1, negative_2, ...]; query, documents, labels"

_OWN = {"point-wise": ("document", "label"), "pair-wise": ("positive",), "list-wise": ("documents", "labels")}
_NUMBERED = re.compile(r"negative_([1-9]\d*)")

_Read = Callable[[dict[str, Any], str], Row]


@dataclass(frozen=True)
class TuningData:
    """Rows to train on, all of one form.

    Attributes:
        name: The file's or the data set's.
        rows: The rows, in order.
        defects: What was left out, with file and line or id.
        corpus: The data set they come from; None where they come from a file.
    """

    name: str
    rows: tuple[Row, ...]
    defects: tuple[str, ...] = ()
    corpus: Dataset | None = None


def load_tuning_data(name: str, split: str = "train") -> TuningData:
    """Load rows to train on, by name or path.

    Args:
        name: A JSONL or CSV file, or what `load_dataset` takes.
        split: Whose judgements to use of a data set.

    Returns:
        Of a file, the form its columns tell: `query, document, label`; `query, positive` with `negative` or
        `negative_1, negative_2, ...`; `query, documents, labels`. Of a data set, a pair for every relevant document;
        documents that were judged and found not relevant are left out.

    Raises:
        CallError: There is no such file, data set or split.
        DataError: It is malformed, or holds no row.
    """
    path = Path(name)
    if path.suffix.lower() in RECORD_FILES:
        rows: tuple[Row, ...] = tuple(_read_file(path))
        data = TuningData(path.name, rows)
    else:
        data = _pair_judged(load_dataset(name, split))
    if not data.rows:
        raise DataError(f"'{name}' holds nothing to train on: expected at least one row")
    return data


def _pair_judged(dataset: Dataset) -> TuningData:
    relevant = {name for judged in dataset.qrels.values() for name, grade in judged.items() if grade > 0}
    texts = {name: text for name, text in dataset.documents if name in relevant}
    defects, rows = Defects(), []
    for query, asked in dataset.queries:
        for name, grade in dataset.qrels[query].items():
            if grade <= 0 or name not in texts or (name == query and query in dataset.dropped):
                continue
            if not asked.strip() or not texts[name].strip():
                defects.add("pairs with an empty text (left out)", f"{query} {name}")
                continue
            rows.append(Pairwise(asked, texts[name], (), float(grade), f"{dataset.name}:{query}"))
    return TuningData(dataset.name, tuple(rows), (*dataset.defects, *defects.summarize()), dataset)


def _read_file(path: Path) -> Iterator[Row]:
    """Yield the rows of a JSONL or CSV file, all of the form that its columns tell; other columns are left out."""
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
        raise DataError(f"{label(path)}:1: {fault}: {columns[:80]}\nexpected {_FORMS}")
    missing = [name for name in ("query", *_OWN[found[0]]) if name not in names]
    if missing:
        has = f"{', '.join(names)[:80]} ({found[0]})"
        raise DataError(f'{label(path)}:1: the column "{missing[0]}" is missing, found {has}\nexpected {_FORMS}')
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
    number = finite_number(value)
    if number is None:
        raise DataError(f"{location}: expected a finite number as {field}, found {json.dumps(value)[:60]}")
    return number
