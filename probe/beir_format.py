"""Read BEIR's format from a folder, a zip or a URL, with every fault named by file and line."""

from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from typing import Any

from probe.beir_folder import find_records, find_root
from probe.beir_records import Records, read_unique
from probe.corpus import scan_corpus
from probe.dataset import Dataset, Qrels
from probe.defects import Defects
from probe.errors import CallError, DataError
from probe.locations import is_url, locate
from probe.text_lines import START, label, read_lines
from probe.texts import Texts

__all__ = ["choose_split", "list_splits", "read_beir"]

# Beyond this a grade is a mistake, and more than trec_eval's integers hold.
_LARGEST_GRADE = 1_000_000

# Where a judgement is; query id, document id and grade.
_Judgement = tuple[str, tuple[str, str, int]]


def read_beir(path: str, split: str | None = None, name: str | None = None) -> Dataset:
    """Read a data set in BEIR's format.

    Args:
        path: A folder with `corpus.jsonl`, `queries.jsonl` and `qrels/SPLIT.tsv`, a zip that holds one, or the URL of
            a folder; see `find_records` for other forms of corpus and queries.
        split: Whose judgements to read; `test` when left out, or the only one there is.
        name: The data set's name; the folder's or archive's when left out.

    Returns:
        The data set.

    Raises:
        CallError: There is no such split, or the path is no data set.
        DataError: A file is malformed.
    """
    root = find_root(path)
    chosen = choose_split(list_splits(root), split, path)
    defects = Defects()
    judgements = list(_read_judgements(root / "qrels" / f"{chosen}.tsv", defects))
    judged = {document for _, (_, document, _) in judgements}
    documents, found = scan_corpus(find_records(root, "corpus"), judged, defects)
    queries, synthetic = _read_queries(find_records(root, "queries"), defects)
    qrels = _build_qrels(judgements, found, set(queries.ids), defects)
    return Dataset(
        name=name or _name_of(path),
        split=chosen,
        documents=documents,
        queries=Texts.gather((query, text) for query, text in queries if query in qrels),
        qrels=qrels,
        synthetic=synthetic,
        defects=defects.summarise(),
    )


def _name_of(path: str) -> str:
    place = locate(path) if is_url(path) else Path(path.rstrip("/")).resolve()
    return place.name.removesuffix(".zip")


def list_splits(root: Any) -> list[str]:
    """Return the names of the splits that have judgements.

    Args:
        root: The data set's folder, as a `pathlib`, `zipfile` or remote path.

    Returns:
        The splits in alphabetical order.
    """
    folder = root / "qrels"
    if not folder.is_dir():
        return []
    return sorted(file.name.removesuffix(".tsv") for file in folder.iterdir() if file.name.endswith(".tsv"))


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


def _read_queries(records: Records, defects: Defects) -> tuple[Texts, str]:
    ids, texts, made = [], [], set()
    for place, _, record in read_unique(records):
        if not record["text"].strip():
            defects.add("empty queries", place)
        metadata = record.get("metadata")
        made.add(metadata.get("synthetic") if isinstance(metadata, dict) else None)
        ids.append(record["_id"])
        texts.append(record["text"].strip())
    return Texts(tuple(ids), tuple(texts)), ", ".join(sorted(str(kind) for kind in made if kind))


def _build_qrels(
    judgements: Sequence[_Judgement], documents: Container[str], queries: Container[str], defects: Defects
) -> Qrels:
    qrels: Qrels = {}
    for place, (query, document, grade) in judgements:
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


def _read_judgements(path: Any, defects: Defects) -> Iterator[_Judgement]:
    first = True
    for mark, line in read_lines(path):
        place = f"{label(path)}:{mark.number + 1}"
        cells = [cell.strip() for cell in line.split("\t")]
        if len(cells) != 3:
            raise DataError(
                f"{place}: expected query-id, corpus-id and score between tabs (not TREC's four columns), "
                f"found {line[:60]!r}"
            )
        header, first = first and not _is_grade(cells[2]), False
        if header:
            continue
        if mark == START:
            defects.add("qrels files without a header (read from the first line on)", place)
        if not _is_grade(cells[2]):
            raise DataError(f"{place}: expected a whole number as the grade, found {cells[2]!r}")
        yield place, (cells[0], cells[1], int(float(cells[2])))


def _is_grade(text: str) -> bool:
    try:
        return float(text).is_integer() and abs(float(text)) <= _LARGEST_GRADE
    except ValueError:
        return False
