"""The folder of a built data set."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from probe.documents.passages import Passage
from probe.documents.queries import Query
from probe.io.text_lines import replace_surrogates

__all__ = ["BUILD_FILE", "describe_kinds", "is_built", "is_synthetic", "write_dataset"]

BUILD_FILE = "build.json"
_FILES = {"corpus.jsonl", "queries.jsonl", "qrels"}
_SYNTHETIC = {
    "heading": "headings",
    "link": "link texts",
    "generated": "generated questions",
    "sentence": "sentences",
    "keywords": "keywords",
}


def describe_kinds(query: Query) -> str:
    """Return how a query was made, for queries that nobody asked; empty for others."""
    return _SYNTHETIC.get(query.kind, "")


def is_synthetic(query: Query) -> bool:
    """Return whether nobody asked a query."""
    return query.kind in _SYNTHETIC


def is_built(folder: Path) -> bool:
    """Return whether a folder holds a built data set and nothing else."""
    inside = {child.name for child in folder.iterdir()} if folder.is_dir() else set()
    if inside == {*_FILES, BUILD_FILE}:
        return _is_ours(folder / BUILD_FILE)
    return inside == _FILES and _is_old(folder / "queries.jsonl")


def _is_ours(facts: Path) -> bool:
    try:
        return {"version", "options", "passages"} <= set(json.loads(facts.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return False


def _is_old(queries: Path) -> bool:
    """Return whether queries are those of version 0.1 or 0.2, which had no build.json."""
    try:
        with queries.open(encoding="utf-8") as lines:
            return "known-item" in str(json.loads(lines.readline())["metadata"]["synthetic"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def write_dataset(
    folder: Path,
    passages: Iterable[Passage],
    splits: Mapping[str, Iterable[Query]],
    *,
    facts: Mapping[str, Any],
    unjudged: Sequence[str] = (),
) -> None:
    """Write corpus, queries, relevance labels and facts in BEIR's format.

    Args:
        folder: An existing folder.
        passages: The corpus.
        splits: Queries per split; a query may be in several.
        facts: How it was made, for `build.json`.
        unjudged: Queries without relevance labels; they are written, and not scored.
    """
    _write_lines(folder / "corpus.jsonl", map(_document_line, passages))
    numbers: dict[str, int] = {}
    distinct = {query.text: query for queries in splits.values() for query in queries}
    for number, text in enumerate(sorted(distinct, key=lambda text: (distinct[text].relevant, text)), start=1):
        numbers[text] = number
    _write_lines(folder / "queries.jsonl", (_query_line(distinct[text], number) for text, number in numbers.items()))
    with (folder / "queries.jsonl").open("a", encoding="utf-8", newline="\n") as out:
        for number, text in enumerate(dict.fromkeys(unjudged), start=len(numbers) + 1):
            out.write(_query_line(Query(text, "own", (), ""), number) + "\n")
    (folder / "qrels").mkdir()
    for split, queries in splits.items():
        rows = sorted({numbers[query.text]: query for query in queries}.items())
        _write_lines(folder / "qrels" / f"{split}.tsv", _label_lines(rows))
    (folder / BUILD_FILE).write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _document_line(passage: Passage) -> str:
    metadata: dict[str, Any] = {"source": passage.path}
    if passage.line is not None:
        metadata["line"] = passage.line
    if passage.anchor:
        metadata["anchor"] = passage.anchor
    record = {"_id": passage.id, "title": passage.title, "text": passage.text, "metadata": metadata}
    return replace_surrogates(json.dumps(record, ensure_ascii=False))


def _query_line(query: Query, number: int) -> str:
    metadata: dict[str, Any] = {"kind": query.kind}
    how = describe_kinds(query)
    if how:
        metadata["synthetic"] = how
    record = {"_id": f"q{number}", "text": query.text, "metadata": metadata}
    return replace_surrogates(json.dumps(record, ensure_ascii=False))


def _label_lines(rows: Iterable[tuple[int, Query]]) -> Iterator[str]:
    yield "query-id\tcorpus-id\tscore"
    for number, query in rows:
        for document, grade in zip(query.relevant, query.grades or (1,) * len(query.relevant), strict=True):
            yield f"q{number}\t{document}\t{grade}"


def _write_lines(file: Path, lines: Iterable[str]) -> None:
    with file.open("w", encoding="utf-8", newline="\n") as out:
        out.writelines(f"{line}\n" for line in lines)
