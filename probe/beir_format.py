"""Read BEIR's folder format, from a folder or straight out of a zip, with every fault named by file and line."""

import json
import os
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from probe.dataset import Dataset, Qrels, Texts
from probe.errors import CallError, DataError

__all__ = ["list_splits", "read_beir"]

_ROWS_SHOWN = 3
# What a damaged, encrypted or oddly packed zip, or a disk, makes reading raise.
_UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError)
# Beyond this a grade is a mistake, and more than trec_eval's integers hold.
_LARGEST_GRADE = 1_000_000
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass
class _Defects:
    """Faults that leave a data set usable, gathered by kind."""

    places: dict[str, list[str]] = field(default_factory=dict)

    def add(self, kind: str, place: str) -> None:
        """Note one fault."""
        self.places.setdefault(kind, []).append(place)

    def summarise(self) -> tuple[str, ...]:
        """Return one line per kind, with its first places."""
        return tuple(
            f"{len(places)} {kind}: {', '.join(places[:_ROWS_SHOWN])}{', ...' if len(places) > _ROWS_SHOWN else ''}"
            for kind, places in self.places.items()
        )


def read_beir(path: str, split: str | None = None, name: str | None = None) -> Dataset:
    """Read a data set in BEIR's format.

    Args:
        path: A folder with `corpus.jsonl`, `queries.jsonl` and `qrels/SPLIT.tsv`, or a zip that holds one.
        split: Whose judgements to read; `test` when left out, or the only one there is.
        name: The data set's name; the folder's or archive's when left out.

    Returns:
        The data set.

    Raises:
        CallError: There is no such split, or the path is no data set.
        DataError: A file is malformed.
    """
    root = _find_root(path)
    chosen = _choose_split(list_splits(root), split, path)
    defects = _Defects()
    documents = _read_texts(root / "corpus.jsonl", defects, "empty documents")
    queries, synthetic = _read_queries(root / "queries.jsonl", defects)
    qrels = _read_qrels(root / "qrels" / f"{chosen}.tsv", set(documents.ids), set(queries.ids), defects)
    judged = [(query, text) for query, text in queries if query in qrels]
    return Dataset(
        name=name or Path(path.rstrip("/")).resolve().name.removesuffix(".zip"),
        split=chosen,
        documents=documents,
        queries=Texts(tuple(q for q, _ in judged), tuple(t for _, t in judged)),
        qrels=qrels,
        synthetic=synthetic,
        defects=defects.summarise(),
    )


def _find_root(path: str) -> Any:
    """Return the folder that holds corpus.jsonl: `path` itself or the one folder in it."""
    root = _open_root(path)
    if (root / "corpus.jsonl").exists():
        return root
    inner = [child for child in root.iterdir() if child.is_dir() and (child / "corpus.jsonl").exists()]
    if len(inner) == 1:
        return inner[0]
    if inner:
        found = ", ".join(sorted(child.name for child in inner))
        raise CallError(f"'{path}' holds several data sets ({found}): unpack it and name one folder")
    hint = "" if os.path.isfile(path) else f"; own documents become one with `probe data build {path} --out DIR`"
    raise CallError(f"'{path}' is no BEIR data set: it holds no corpus.jsonl{hint}")


def _open_root(path: str) -> Any:
    if os.path.isdir(path):
        return Path(path)
    if not zipfile.is_zipfile(path) and path.lower().endswith(".zip"):
        raise DataError(f"'{path}' is no zip that can be read: it is damaged, cut short or something else")
    if not zipfile.is_zipfile(path):
        raise CallError(
            f"'{path}' is neither a BEIR folder nor a zip of one; own documents become one with "
            f"`probe data build {path} --out DIR`"
        )
    return zipfile.Path(path)


def list_splits(root: Any) -> list[str]:
    """Return the names of the splits that have judgements.

    Args:
        root: The data set's folder, as a `pathlib` or `zipfile` path.

    Returns:
        The splits in alphabetical order.
    """
    folder = root / "qrels"
    if not folder.is_dir():
        return []
    return sorted(file.name.removesuffix(".tsv") for file in folder.iterdir() if file.name.endswith(".tsv"))


def _choose_split(splits: list[str], wanted: str | None, path: str) -> str:
    if not splits:
        raise DataError(f"'{path}' has no judgements: expected qrels/test.tsv or another split in it")
    if wanted is None:
        wanted = splits[0] if len(splits) == 1 else "test"
    if wanted not in splits:
        raise CallError(
            f"'{path}' has no judgements for the split '{wanted}': it has {', '.join(splits)} (see --split)"
        )
    return wanted


def _label(path: Any) -> str:
    parts = str(path).split(os.sep)
    return "/".join(parts[-3:] if "qrels" in parts[-2:-1] else parts[-2:])


def _read_lines(path: Any) -> Iterator[tuple[int, str]]:
    if not path.exists():
        raise DataError(f"{_label(path)} is missing: a BEIR data set has corpus.jsonl, queries.jsonl and qrels/")
    number = 0
    try:
        with path.open("rb") as file:
            for number, data in enumerate(file, start=1):
                line = data.decode("utf-8-sig" if number == 1 else "utf-8")
                if line.strip():
                    yield number, line.rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{_label(path)}:{number}: not UTF-8 ({error.reason} at byte {error.start})") from error
    except _UNREADABLE as error:
        raise DataError(f"{_label(path)}:{number + 1}: cannot be read ({error})") from error


def _read_records(path: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    seen: dict[str, int] = {}
    for number, line in _read_lines(path):
        place = f"{_label(path)}:{number}"
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{place}: not JSON ({error}); expected one object a line") from error
        if not isinstance(record, dict) or not isinstance(record.get("_id"), str | int):
            raise DataError(f'{place}: expected an object with "_id" and "text", found {line[:60]}')
        record["_id"] = str(record["_id"])
        if _SURROGATE.search(record["_id"]):
            raise DataError(f"{place}: half a character (a lone surrogate) in the id {record['_id']!a}")
        if record["_id"] in seen:
            raise DataError(f"{place}: the id '{record['_id']}' is already in line {seen[record['_id']]}")
        seen[record["_id"]] = number
        for key in ("title", "text"):
            record[key] = _read_string(record, key, place)
        yield place, record


def _read_string(record: dict[str, Any], key: str, place: str) -> str:
    value = record.get(key)
    if value is None and (key == "title" or key in record):
        return ""
    if not isinstance(value, str):
        found = "nothing" if value is None else f"a {type(value).__name__}"
        raise DataError(f'{place}: expected a string as "{key}", found {found}')
    return _SURROGATE.sub("\ufffd", value)


def _read_texts(path: Any, defects: _Defects, empty: str) -> Texts:
    ids, texts = [], []
    for place, record in _read_records(path):
        text = f"{record['title']} {record['text']}".strip()
        if not text:
            defects.add(empty, place)
        ids.append(record["_id"])
        texts.append(text)
    return Texts(tuple(ids), tuple(texts))


def _read_queries(path: Any, defects: _Defects) -> tuple[Texts, str]:
    ids, texts, made = [], [], set()
    for place, record in _read_records(path):
        if not record["text"].strip():
            defects.add("empty queries", place)
        metadata = record.get("metadata")
        made.add(metadata.get("synthetic") if isinstance(metadata, dict) else None)
        ids.append(record["_id"])
        texts.append(record["text"].strip())
    return Texts(tuple(ids), tuple(texts)), ", ".join(sorted(str(kind) for kind in made if kind))


def _read_qrels(path: Any, documents: set[str], queries: set[str], defects: _Defects) -> Qrels:
    qrels: Qrels = {}
    for place, (query, document, grade) in _read_judgements(path, defects):
        if query not in queries:
            defects.add("judgements of queries that are not there", place)
            continue
        if document not in documents:
            defects.add("judgements of documents that are not there (kept: they count as not found)", place)
        if query == document and grade > 0:
            defects.add("relevant documents with their query's own id (never returned: rename the ids)", place)
        if grade < 0:
            defects.add("negative grades (taken as 0)", place)
        if qrels.get(query, {}).get(document, max(grade, 0)) != max(grade, 0):
            raise DataError(f"{place}: '{query}' and '{document}' are judged twice, with different grades")
        qrels.setdefault(query, {})[document] = max(grade, 0)
    return qrels


def _read_judgements(path: Any, defects: _Defects) -> Iterable[tuple[str, tuple[str, str, int]]]:
    first = True
    for number, line in _read_lines(path):
        place = f"{_label(path)}:{number}"
        cells = [cell.strip() for cell in line.split("\t")]
        if len(cells) != 3:
            raise DataError(
                f"{place}: expected query-id, corpus-id and score between tabs (not TREC's four columns), "
                f"found {line[:60]!r}"
            )
        header, first = first and not _is_grade(cells[2]), False
        if header:
            continue
        if number == 1:
            defects.add("qrels files without a header (read from the first line on)", place)
        if not _is_grade(cells[2]):
            raise DataError(f"{place}: expected a whole number as the grade, found {cells[2]!r}")
        yield place, (cells[0], cells[1], int(float(cells[2])))


def _is_grade(text: str) -> bool:
    try:
        return float(text).is_integer() and abs(float(text)) <= _LARGEST_GRADE
    except ValueError:
        return False
