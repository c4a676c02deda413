"""Read judgements in the forms that people have them: BEIR's three columns, TREC's four, JSON lines."""

import re
from collections.abc import Container, Iterator, Sequence
from typing import Any, NamedTuple

from probe.data.dataset import Defects, Qrels
from probe.data.records import check_id
from probe.errors import CallError, DataError
from probe.io.text_lines import START, label, parse_json, read_lines

__all__ = ["Judgement", "build_qrels", "choose_split", "find_qrels", "is_hidden", "list_splits", "read_judgements"]

# In the order in which they are preferred where a split has several.
_SUFFIXES = [
    f"{suffix}{packed}" for suffix in (".tsv", ".jsonl", ".trec", ".qrels", ".qrel", ".txt") for packed in ("", ".gz")
]
_PROSE = ("readme", "license", "licence")
# Beyond this a grade is a mistake, and more than trec_eval's integers hold.
_LARGEST_GRADE = 1_000_000
_GRADE = re.compile(r"[+-]?[0-9]{1,15}(\.0*)?")
_ITERATION = re.compile(r"[Qq]?[0-9]+")

# What BEIR, mteb, ir_datasets and TREC call the fields, without case and punctuation; the first one there is counts.
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
_EXPECTED = "query-id, corpus-id and score between tabs, or TREC's `query 0 document grade`"


class Judgement(NamedTuple):
    """How relevant a document is to a query.

    Attributes:
        location: File and line, as messages name them.
        query: The query's id.
        document: The document's id.
        grade: From 0, not relevant, on; negative grades mean 0.
    """

    location: str
    query: str
    document: str
    grade: int


class _Form(NamedTuple):
    """Where the fields of a file with columns are: their numbers, and whether tabs part them or any white space."""

    columns: int
    fields: tuple[int, int, int]
    tabs: bool
    trec: bool = False


def is_hidden(path: Any) -> bool:
    """Whether a file or folder is one that systems put beside those of people: `.x`, `._x`, `__MACOSX`."""
    return bool(path.name.startswith((".", "__MACOSX")))


def list_splits(root: Any) -> list[str]:
    """Return the splits that a data set's folder has judgements of, in alphabetical order."""
    return sorted({_split_of(file.name) for file in _list_files(root)})


def _list_files(root: Any) -> list[Any]:
    folder = root / "qrels"
    if not folder.is_dir():
        return []
    return [file for file in folder.iterdir() if not is_hidden(file) and _split_of(file.name)]


def _split_of(name: str) -> str:
    """Return the split that a file of judgements is named after; nothing where it is no such file."""
    split = next((name.removesuffix(suffix) for suffix in _SUFFIXES if name.endswith(suffix)), "")
    return "" if split.lower().startswith(_PROSE) else split


def choose_split(splits: list[str], wanted: str | None, path: str) -> str:
    """Return the split to read.

    Args:
        splits: Those there are.
        wanted: The one that was asked for; `test` when left out, or the only one there is.
        path: The data set, as messages name it.

    Raises:
        CallError: It is none of them.
        DataError: There is none.
    """
    if not splits:
        raise DataError(f"'{path}' has no judgements: expected qrels/test.tsv or another split in it")
    if wanted is None:
        wanted = splits[0] if len(splits) == 1 else "test"
    if wanted not in splits:
        raise CallError(
            f"'{path}' has no judgements for the split '{wanted}': it has {', '.join(splits)} (see --split)"
        )
    return wanted


def find_qrels(root: Any, split: str, defects: Defects) -> Any:
    """Return the file of a split's judgements; of several the first by form, and the others are noted."""
    names = {file.name for file in _list_files(root)}
    files = [root / "qrels" / f"{split}{suffix}" for suffix in _SUFFIXES if f"{split}{suffix}" in names]
    for other in files[1:]:
        defects.add(f"files of the same judgements in another form (not read: {files[0].name} is)", label(other))
    return files[0] if files else root / "qrels" / f"{split}{_SUFFIXES[0]}"


def read_judgements(path: Any, defects: Defects) -> Iterator[Judgement]:
    """Yield the judgements of a file.

    Args:
        path: Three columns between tabs (query, document, grade; with a header in any order), TREC's four between any
            white space, or JSON lines; perhaps packed by gzip.
        defects: Where faults that leave it usable are noted.

    Raises:
        DataError: The file cannot be read, or a line is malformed.
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
        yield _judge(location, [values[field] for field in fields], [names[field] for field in fields])


def _read_columns(path: Any, defects: Defects) -> Iterator[Judgement]:
    form = None
    for mark, line in read_lines(path):
        location = f"{label(path)}:{mark.number + 1}"
        if form is None:
            form, is_header = _find_form(line, location)
            if is_header:
                continue
            if mark == START and not form.trec:
                defects.add("qrels files without a header (read from the first line on)", location)
        cells = _split(line, form.tabs)
        if len(cells) != form.columns or (form.trec and not _ITERATION.fullmatch(cells[1])):
            raise DataError(f"{location}: expected {_EXPECTED}, as in the first line, found {line[:60]!r}")
        yield _judge(location, [cells[field] for field in form.fields], ("query-id", "corpus-id", "score"))


def _find_form(line: str, location: str) -> tuple[_Form, bool]:
    """Return the form of a file by its first line, and whether that is a header."""
    # TREC's columns may be aligned by tabs and spaces at once.
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
        f"{location}: neither a judgement nor a header that names query-id, corpus-id and score: {line[:60]!r}\n"
        f"(expected {_EXPECTED}, the grade a whole number)"
    )


def _split(line: str, tabs: bool) -> list[str]:
    return [cell.strip() for cell in line.split("\t")] if tabs else line.split()


def _find_fields(names: Sequence[str]) -> tuple[int, int, int] | None:
    """Return where query, document and grade are among names of fields; None where one of them is not there."""
    keys = [re.sub(r"[^a-z0-9]", "", name.lower()) for name in names]
    found = [next((keys.index(name) for name in wanted if name in keys), None) for wanted in _FIELDS.values()]
    query, document, grade = found
    return None if query is None or document is None or grade is None else (query, document, grade)


def _judge(location: str, values: Sequence[Any], names: Sequence[str]) -> Judgement:
    grade = _read_grade(values[2])
    if grade is None:
        raise DataError(f"{location}: expected a whole number as the grade, found {values[2]!r}")
    return Judgement(location, check_id(values[0], location, names[0]), check_id(values[1], location, names[1]), grade)


def _read_grade(value: Any) -> int | None:
    """Return a grade, written as a whole number, `2.0` included; None where it is none."""
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
    """Return the grades per query and document.

    Args:
        judgements: All that there are.
        documents: Ids of the judged documents that the corpus has.
        queries: Ids of the queries.
        dropped: Ids of queries whose document of the same id is never returned.
        defects: Where faults are noted.

    Raises:
        DataError: Two judgements contradict each other.
    """
    qrels: Qrels = {}
    for judgement in judgements:
        location, query, document, grade = judgement
        if query not in queries:
            defects.add("judgements of queries that are not there", location)
            continue
        judged = qrels.setdefault(query, {})
        if document in judged:
            if judged[document] != max(grade, 0):
                raise _contradict(judgement, judgements)
            defects.add("judgements that come again with the same grade (counted once)", location)
            continue
        if document not in documents:
            defects.add("judgements of documents that are not there (kept: they count as not found)", location)
        if query == document and grade > 0 and query in dropped:
            defects.add("relevant documents with their query's own id (never returned: rename the ids)", location)
        if grade < 0:
            defects.add("negative grades (taken as 0)", location)
        judged[document] = max(grade, 0)
    return qrels


def _contradict(judgement: Judgement, judgements: Sequence[Judgement]) -> DataError:
    location, query, document, grade = judgement
    first = next(other for other in judgements if (other.query, other.document) == (query, document))
    return DataError(
        f"{location}: '{query}' and '{document}' are judged twice, with different grades: {grade} here, {first.grade} "
        f"in {first.location}; take one of the lines out"
    )
