"""Reader of relevance labels: BEIR's three columns, TREC's four, or JSON lines."""

import re
from collections.abc import Container, Iterator, Sequence
from typing import Any, NamedTuple

from probe.data.dataset import Defects, Qrels
from probe.data.records import check_id
from probe.errors import CallError, DataError
from probe.io.text_lines import START, label, parse_json, read_lines

__all__ = [
    "Judgement",
    "build_qrels",
    "choose_split",
    "find_fields",
    "find_qrels",
    "is_hidden",
    "judge",
    "list_splits",
    "read_judgements",
    "splits_overlap",
]

# In order of preference if a split has several files.
_SUFFIXES = [
    f"{suffix}{packed}" for suffix in (".tsv", ".jsonl", ".trec", ".qrels", ".qrel", ".txt") for packed in ("", ".gz")
]
_PROSE = ("readme", "license", "licence")
# Larger grades are mistakes and exceed trec_eval's integers.
_LARGEST_GRADE = 1_000_000
_GRADE = re.compile(r"[+-]?[0-9]{1,15}(\.0*)?")
_ITERATION = re.compile(r"[Qq]?[0-9]+")

# Field names in BEIR, mteb, ir_datasets and TREC, without case and punctuation; the first match counts.
_FIELDS = {
    "query": ("queryid", "qid", "topicid", "topic", "query", "q"),
    "document": (
        "corpusid",
        "docid",
        "documentid",
        "docno",
        "did",
        "passageid",
        "pid",
        "document",
        "doc",
        "corpus",
        "d",
    ),
    "grade": ("score", "relevance", "grade", "rel", "relevancy", "label", "judgment", "judgement"),
}
_EXPECTED = "tab-separated query-id, corpus-id and score, or TREC's `query 0 document grade`"


class Judgement(NamedTuple):
    """Relevance of a document to a query.

    Attributes:
        location: File and line, for messages.
        query: The query's id.
        document: The document's id.
        grade: 0 means not relevant; negative grades count as 0.
    """

    location: str
    query: str
    document: str
    grade: int


class _Form(NamedTuple):
    """Layout of a file with columns: indices of the fields, and whether they are separated by tabs or white space."""

    columns: int
    fields: tuple[int, int, int]
    tabs: bool
    trec: bool = False


def is_hidden(path: Any) -> bool:
    """Return whether a name is that of a system file: `.x`, `._x`, `__MACOSX`."""
    return bool(path.name.startswith((".", "__MACOSX")))


def list_splits(root: Any) -> list[str]:
    """Return the splits with relevance labels in a data set's folder, sorted."""
    return sorted({_split_of(file.name) for file in _list_files(root)})


def _list_files(root: Any) -> list[Any]:
    folder = root / "qrels"
    if not folder.is_dir():
        return []
    return [file for file in folder.iterdir() if not is_hidden(file) and _split_of(file.name)]


def _split_of(name: str) -> str:
    """Return the split of a qrels file by its name; empty for other files."""
    split = next((name.removesuffix(suffix) for suffix in _SUFFIXES if name.endswith(suffix)), "")
    return "" if split.lower().startswith(_PROSE) else split


def choose_split(splits: list[str], wanted: str | None, path: str) -> str:
    """Return the split to read.

    Args:
        splits: The available splits.
        wanted: The requested split; default: `test`, or the only split.
        path: The data set, for messages.

    Raises:
        CallError: If the split is not available.
        DataError: If there are no splits.
    """
    if not splits:
        raise DataError(f"'{path}' has no relevance labels: expected qrels/test.tsv or another split")
    if wanted is None:
        wanted = splits[0] if len(splits) == 1 else "test"
    if wanted not in splits:
        raise CallError(f"'{path}' has no split '{wanted}': available are {', '.join(splits)} (see --split)")
    return wanted


def splits_overlap(one: str, other: str) -> bool:
    """Return whether a split is the other or a part of it, as `dev/small` is of `dev`."""
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")


def find_qrels(root: Any, split: str, defects: Defects) -> Any:
    """Return the qrels file of a split, in the preferred form; others are recorded as defects."""
    names = {file.name for file in _list_files(root)}
    files = [root / "qrels" / f"{split}{suffix}" for suffix in _SUFFIXES if f"{split}{suffix}" in names]
    for other in files[1:]:
        defects.add(f"duplicate qrels files in another form (ignored, {files[0].name} is used)", label(other))
    return files[0] if files else root / "qrels" / f"{split}{_SUFFIXES[0]}"


def read_judgements(path: Any, defects: Defects) -> Iterator[Judgement]:
    """Yield the relevance labels in a file.

    Args:
        path: File with three tab-separated columns (query, document, grade; any order with a header), TREC's four
            columns separated by white space, or JSON lines; optionally gzipped.
        defects: Collects non-fatal defects.

    Raises:
        DataError: If the file is unreadable or a line is malformed.
    """
    json_lines = path.name.removesuffix(".gz").endswith(".jsonl")
    return _read_objects(path) if json_lines else _read_columns(path, defects)


def _read_objects(path: Any) -> Iterator[Judgement]:
    for mark, line in read_lines(path):
        location = f"{label(path)}:{mark.number + 1}"
        record = parse_json(line, location)
        fields = _find_fields(list(record)) if isinstance(record, dict) else None
        if fields is None:
            raise DataError(f"{location}: expected an object with query-id, corpus-id and score, found {line[:60]}")
        names, values = list(record), list(record.values())
        yield judge(location, [values[field] for field in fields], [names[field] for field in fields])


def _read_columns(path: Any, defects: Defects) -> Iterator[Judgement]:
    form = None
    for mark, line in read_lines(path):
        location = f"{label(path)}:{mark.number + 1}"
        if form is None:
            form, is_header = _find_form(line, location)
            if is_header:
                continue
            if mark == START and not form.trec:
                defects.add("qrels files without a header (read from the first line)", location)
        cells = _split(line, form.tabs)
        if len(cells) != form.columns or (form.trec and not _ITERATION.fullmatch(cells[1])):
            raise DataError(f"{location}: expected {_EXPECTED}, like the first line, found {line[:60]!r}")
        yield judge(location, [cells[field] for field in form.fields], ("query-id", "corpus-id", "score"))


def _find_form(line: str, location: str) -> tuple[_Form, bool]:
    """Return the form of a file from its first line, and whether that line is a header."""
    # TREC's columns may be aligned by a mix of tabs and spaces.
    for tabs in (True, False) if "\t" in line else (False,):
        cells = _split(line, tabs)
        fields = _find_fields(cells)
        if fields is not None:
            return _Form(len(cells), fields, tabs), True
        if len(cells) == 4 and _ITERATION.fullmatch(cells[1]) and _read_grade(cells[3]) is not None:
            return _Form(4, (0, 2, 3), tabs, trec=True), False
        if len(cells) == 3 and _read_grade(cells[2]) is not None:
            return _Form(3, (0, 1, 2), tabs), False
    raise DataError(
        f"{location}: expected a header with query-id, corpus-id and score, or a relevance label; found {line[:60]!r}\n"
        f"(a label is {_EXPECTED}, with an integer grade)"
    )


def _split(line: str, tabs: bool) -> list[str]:
    return [cell.strip() for cell in line.split("\t")] if tabs else line.split()


def _find_fields(names: Sequence[str]) -> tuple[int, int, int] | None:
    """Return the indices of query, document and grade among field names, or None if one is missing."""
    query, document, grade = find_fields(names)
    return None if query is None or document is None or grade is None else (query, document, grade)


def find_fields(names: Sequence[str]) -> tuple[int | None, int | None, int | None]:
    """Return the indices of query, document and grade among field names; None for a missing one."""
    keys = [re.sub(r"[^a-z0-9]", "", name.lower()) for name in names]
    query, document, grade = (
        next((keys.index(name) for name in wanted if name in keys), None) for wanted in _FIELDS.values()
    )
    return query, document, grade


def judge(location: str, values: Sequence[Any], names: Sequence[str]) -> Judgement:
    """Return a relevance label from the values of query, document and grade; messages use the names of the columns.

    Raises:
        DataError: If an id or the grade is malformed.
    """
    grade = _read_grade(values[2])
    if grade is None:
        raise DataError(f"{location}: expected an integer grade, found {values[2]!r}")
    return Judgement(location, check_id(values[0], location, names[0]), check_id(values[1], location, names[1]), grade)


def _read_grade(value: Any) -> int | None:
    """Return an integer grade, also from a string such as `2.0`; None for anything else."""
    if isinstance(value, bool) or not _GRADE.fullmatch(str(value).strip()):
        return None
    grade = int(float(value))
    return grade if abs(grade) <= _LARGEST_GRADE else None


def build_qrels(
    judgements: Sequence[Judgement],
    documents: Container[str],
    queries: Container[str],
    *,
    dropped: Container[str],
    defects: Defects,
) -> Qrels:
    """Return grades by query and document.

    Args:
        judgements: All relevance labels.
        documents: Ids of labelled documents that exist in the corpus.
        queries: Ids of the queries.
        dropped: Ids of queries for which the document with the same id is never returned.
        defects: Collects defects found.

    Raises:
        DataError: If two labels contradict each other.
    """
    qrels: Qrels = {}
    for judgement in judgements:
        location, query, document, grade = judgement
        if query not in queries:
            defects.add("relevance labels for missing queries", location)
            continue
        judged = qrels.setdefault(query, {})
        if document in judged:
            if judged[document] != max(grade, 0):
                raise _contradict(judgement, judgements)
            defects.add("duplicate relevance labels with the same grade (counted once)", location)
            continue
        if document not in documents:
            defects.add("relevance labels for missing documents (kept: they count as not found)", location)
        if query == document and grade > 0 and query in dropped:
            defects.add("relevant documents with their query's own id (never returned: rename the ids)", location)
        if grade < 0:
            defects.add("negative grades (counted as 0)", location)
        judged[document] = max(grade, 0)
    return qrels


def _contradict(judgement: Judgement, judgements: Sequence[Judgement]) -> DataError:
    location, query, document, grade = judgement
    first = next(other for other in judgements if (other.query, other.document) == (query, document))
    return DataError(
        f"{location}: conflicting relevance labels for '{query}' and '{document}': {grade} here, {first.grade} "
        f"in {first.location}; remove one of the lines"
    )
