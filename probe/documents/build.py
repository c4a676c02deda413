"""Conversion of documents into a BEIR folder of passages with known-item queries taken from them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from probe.data.captioned_images import find_image_folder
from probe.documents.old_reader import SENTENCE_END, Passage, count_words, list_documents, read_passages
from probe.errors import CallError, DataError, wrong_type
from probe.io.files import reason, replace_folder
from probe.io.publishing import Stamp, stamp_of

__all__ = ["SYNTHETIC", "BuiltDataset", "build_dataset"]

SYNTHETIC = "known-item: a passage's first sentence, taken out of it, finds the rest"

_QUERY_WORDS = range(4, 41)
_FEWEST_REST_WORDS = 8

_DATASET_FILES = {"corpus.jsonl", "queries.jsonl", "qrels"}


@dataclass(frozen=True)
class BuiltDataset:
    """Result of building a data set."""

    folder: Path
    files: int
    documents: int
    queries: int


def build_dataset(files: str | Path | Sequence[str | Path], out: str | Path, force: bool = False) -> BuiltDataset:
    """Convert documents into a BEIR folder with synthetic known-item queries.

    Long texts are split into passages at paragraphs (Markdown also at headings). The first sentence of every passage
    that is long enough becomes a query and is removed from the passage, so no query occurs in its own document.

    Args:
        files: Text, Markdown, JSONL or CSV files, or folders with such files; one or several.
        out: Output folder.
        force: Whether to replace an existing data set.

    Returns:
        Counts of what was written.

    Raises:
        CallError: If a path is missing or of an unsupported type, or `out` exists.
        DataError: If a file is malformed, or no passage is long enough for a query.
    """
    out, paths = Path(out), _as_paths(files)
    before = stamp_of(out)
    _check_out(out, paths, force)
    _refuse_images(paths)
    found = sorted({file for path in paths for file in list_documents(path)})
    passages = list(dict.fromkeys(passage for file in found for passage in read_passages(file)))
    corpus, queries = _take_queries(passages)
    if not queries:
        raise DataError(
            f"none of {len(passages)} passages in {len(found)} files is long enough for a query: expected passages "
            f"with a sentence of {_QUERY_WORDS.start} words or more and {_FEWEST_REST_WORDS} words after it"
        )
    _write(out, corpus, queries, before=before)
    return BuiltDataset(out, len(found), len(corpus), len(queries))


def _as_paths(files: str | Path | Sequence[str | Path]) -> list[Path]:
    paths = [files] if isinstance(files, str | Path) else files
    if not isinstance(paths, Sequence) or not paths or not all(isinstance(path, str | Path) for path in paths):
        raise wrong_type("files", files, "a file or a folder, or a list of them")
    return [Path(path) for path in paths]


def _check_out(out: Path, paths: Sequence[Path], force: bool) -> None:
    """Raise if the output folder exists, unless it is a built data set and `force` is set."""
    if not out.exists():
        return
    if not force:
        raise CallError(f"'{out}' exists: choose another --out, or pass --force to replace it")
    if not _is_ours(out):
        raise CallError(f"'{out}' was not made by this command, so --force does not replace it: choose another --out")
    if any(path.resolve().is_relative_to(out.resolve()) for path in paths):
        raise CallError(f"'{out}' contains the input: choose another --out")


def _is_ours(out: Path) -> bool:
    """Return whether a folder is a data set built by this module, without other files."""
    inside = {child.name for child in out.iterdir()} if out.is_dir() else set()
    if inside != _DATASET_FILES:
        return False
    try:
        with (out / "queries.jsonl").open(encoding="utf-8") as queries:
            return bool(json.loads(queries.readline())["metadata"]["synthetic"] == SYNTHETIC)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _refuse_images(paths: Sequence[Path]) -> None:
    for path in paths:
        if find_image_folder(str(path)) is not None:
            raise CallError(f"'{path}' has images with captions and is already a data set: see probe data show {path}")


def _take_queries(passages: Sequence[Passage]) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    corpus: list[dict[str, object]] = []
    queries: list[dict[str, object]] = []
    asked: set[str] = set()
    for number, passage in enumerate(passages, start=1):
        query, rest = (*SENTENCE_END.split(passage.text, maxsplit=1), "")[:2]
        asked_here = count_words(query) in _QUERY_WORDS and count_words(rest) >= _FEWEST_REST_WORDS
        asked_here = asked_here and query not in asked and query not in rest
        if asked_here:
            asked.add(query)
            metadata = {"synthetic": SYNTHETIC, "document": f"d{number}"}
            queries.append({"_id": f"q{number}", "text": query, "metadata": metadata})
        text = rest if asked_here else passage.text
        record = {"_id": f"d{number}", "title": passage.title, "text": text}
        corpus.append({**record, "metadata": {"source": passage.source}})
    return corpus, queries


def _write(
    out: Path, corpus: Sequence[dict[str, object]], queries: Sequence[dict[str, object]], *, before: Stamp | None
) -> None:
    def fill(made: Path) -> None:
        """Write the files into the temporary folder."""
        (made / "qrels").mkdir()
        _write_lines(made / "corpus.jsonl", [json.dumps(record, ensure_ascii=False) for record in corpus])
        _write_lines(made / "queries.jsonl", [json.dumps(record, ensure_ascii=False) for record in queries])
        judged = [f"{query['_id']}\td{str(query['_id'])[1:]}\t1" for query in queries]
        _write_lines(made / "qrels" / "test.tsv", ["query-id\tcorpus-id\tscore", *judged])

    try:
        replace_folder(out, fill, before)
    except OSError as error:
        raise DataError(f"'{out}' cannot be written: {reason(error)}") from error


def _write_lines(path: Path, lines: Sequence[str]) -> None:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
