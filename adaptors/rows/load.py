"""Load training rows of an encoder from a BEIR data set's training labels, or from a JSONL or CSV file.

The form of a file is detected from its columns, and every error has file and line.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adaptors.rows.forms import Form, find_form
from adaptors.rows.rows import Listwise, Pairwise, Pointwise, Row
from probe.data.dataset import Dataset, Defects
from probe.errors import CallError, DataError, check_type
from probe.io.column_files import RECORD_FILES, column_names, column_text, finite_number, read_columns
from probe.sources.loading import load_dataset

__all__ = ["TuningData", "load_tuning_data", "pair_labelled"]

_Record = dict[str, Any]


@dataclass(frozen=True)
class TuningData:
    """Training rows, all of the same form.

    Attributes:
        name: Name of the file or data set.
        rows: The rows, in order.
        defects: Notes on skipped rows, with file and line or id.
        corpus: The source data set; None for rows from a file.
        file: The source file; empty for rows from a data set or from memory.
    """

    name: str
    rows: tuple[Row, ...]
    defects: tuple[str, ...] = ()
    corpus: Dataset | None = None
    file: str = ""


def load_tuning_data(name: str | Path, split: str = "train", columns: Mapping[str, str] | None = None) -> TuningData:
    """Load training rows by name or path.

    Args:
        name: A JSONL or CSV file, or a data set as for `load_dataset`.
        split: Split of a data set whose relevance labels are used.
        columns: Column names of a file by accepted name, such as `{"anchor": "question"}`.

    Returns:
        For a file, rows in the form detected from its columns: `anchor, positive` with `negative` or
        `negative_1, negative_2, ...`; `query, pos, neg` with lists of texts; `sentence1, sentence2, score`; `query,
        documents, labels`. `query`, `anchor` and `sentence1` are synonyms, as are `document` and `sentence2`, `label`
        and `score`. For a data set, a pair for every relevant document; documents labelled not relevant are ignored.

    Raises:
        CallError: The file, data set or split does not exist.
        DataError: It is malformed or has no rows.
    """
    check_type("data", name, str | Path, expected="a file of rows, or the name or path of a data set")
    path = Path(name)
    if path.suffix.lower() in RECORD_FILES:
        rows: tuple[Row, ...] = tuple(_read_file(path, columns or {}))
        data = TuningData(path.name, rows, file=str(path))
    elif columns:
        raise CallError(f"--columns is for files, and '{name}' is a data set: leave it out")
    else:
        data = pair_labelled(load_dataset(name, split))
    if not data.rows:
        raise DataError(f"'{name}' has no training rows: expected at least one")
    return data


def pair_labelled(dataset: Dataset) -> TuningData:
    """Return a pair for every relevant document of a data set's queries."""
    relevant = {name for judged in dataset.qrels.values() for name, grade in judged.items() if grade > 0}
    texts = {name: text for name, text in dataset.documents if name in relevant}
    defects, rows = Defects(), []
    for query, asked in dataset.queries:
        for name, grade in dataset.qrels[query].items():
            if grade <= 0 or name not in texts or (name == query and query in dataset.dropped):
                continue
            if not asked.strip() or not texts[name].strip():
                defects.add("pairs with an empty text (skipped)", f"{query} {name}")
                continue
            rows.append(Pairwise(asked, texts[name], (), float(grade), f"{dataset.name}:{query}"))
    return TuningData(dataset.name, tuple(rows), (*dataset.defects, *defects.summarize()), dataset)


def _read_file(path: Path, columns: Mapping[str, str]) -> Iterator[Row]:
    """Yield the rows of a JSONL or CSV file in the form detected from its columns; other columns are ignored."""
    form = find_form(path, column_names(path), columns)
    for location, record in read_columns(path, list(form.columns.values())):
        yield from _READ[form.kind](record, form, location)


def _read_point(record: _Record, form: Form, location: str) -> Iterator[Row]:
    query, document, label = (form.columns[name] for name in ("query", "document", "label"))
    number = _number(record[label], f'"{label}"', location)
    yield Pointwise(_text(record, query, location), _text(record, document, location), number, location)


def _read_pair(record: _Record, form: Form, location: str) -> Iterator[Row]:
    query, positive = (_text(record, form.columns[name], location) for name in ("query", "positive"))
    yield _pair(query, positive, [_text(record, name, location) for name in form.negatives], location=location)


def _read_positives(record: _Record, form: Form, location: str) -> Iterator[Row]:
    """Yield a pair for every positive of a list, each with all negatives."""
    query = _text(record, form.columns["query"], location)
    negatives = _texts(record, form.columns["neg"], location) if "neg" in form.columns else []
    positives = _texts(record, form.columns["pos"], location)
    if not positives:
        raise DataError(f'{location}: "{form.columns["pos"]}" is empty: expected at least one positive')
    for positive in positives:
        yield _pair(query, positive, negatives, location=location)


def _pair(query: str, positive: str, negatives: Sequence[str], *, location: str) -> Pairwise:
    if positive in negatives:
        raise DataError(f"{location}: the positive is also a negative: '{positive[:60]}'")
    return Pairwise(query, positive, tuple(negatives), location=location)


def _read_list(record: _Record, form: Form, location: str) -> Iterator[Row]:
    query = _text(record, form.columns["query"], location)
    documents, given = (
        _texts(record, form.columns["documents"], location),
        _items(record, form.columns["labels"], location),
    )
    if len(documents) != len(given):
        raise DataError(
            f"{location}: {len(documents)} documents and {len(given)} labels: expected one label per document"
        )
    if len(documents) < 2:
        raise DataError(f"{location}: {len(documents)} documents in a list: expected two or more")
    labels = tuple(
        _number(value, f'"{form.columns["labels"]}[{number}]"', location) for number, value in enumerate(given)
    )
    if len(set(documents)) < len(documents):
        raise DataError(f"{location}: duplicate document in a list: expected each once")
    # A teacher's scores may all be negative, but then they differ.
    if max(labels) <= 0 and len(set(labels)) == 1:
        raise DataError(
            f"{location}: no document of the list is relevant: expected a label above 0, or different scores"
        )
    yield Listwise(query, tuple(documents), labels, location)


_READ: dict[str, Callable[[_Record, Form, str], Iterator[Row]]] = {
    "point-wise": _read_point,
    "pair-wise": _read_pair,
    "lists of positives": _read_positives,
    "list-wise": _read_list,
}


def _texts(record: _Record, column: str, location: str) -> list[str]:
    """Return the texts of a list."""
    numbered = {f"{column}[{number}]": text for number, text in enumerate(_items(record, column, location))}
    return [_text(numbered, name, location) for name in numbered]


def _text(record: _Record, column: str, location: str) -> str:
    text = column_text(record, column, location)
    if not text:
        raise DataError(f'{location}: "{column}" is empty: expected a text')
    return text


def _items(record: _Record, column: str, location: str) -> list[Any]:
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
