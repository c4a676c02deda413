"""Own documents to a BEIR folder: passages, and known-item queries taken out of them."""

import csv
import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from probe.errors import CallError, DataError

__all__ = ["SYNTHETIC", "BuiltDataset", "build_dataset"]

SYNTHETIC = "known-item: a passage's first sentence, taken out of it, finds the rest"

_MARKDOWN = (".md", ".markdown")
_TEXT = (".txt", ".text", ".rst")
_READABLE = (*_MARKDOWN, *_TEXT, ".jsonl", ".csv")
# About what an encoder of 256 tokens takes.
_PASSAGE_WORDS = 150
_QUERY_WORDS = range(4, 41)
_FEWEST_REST_WORDS = 8

_HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*$")
_SENTENCE_END = re.compile(r"(?<=[.!?。！？])\s+")


@dataclass(frozen=True)
class BuiltDataset:
    """What was written."""

    folder: Path
    files: int
    documents: int
    queries: int


@dataclass(frozen=True)
class _Passage:
    source: str
    title: str
    text: str


def build_dataset(paths: Sequence[Path], out: Path, force: bool = False) -> BuiltDataset:
    """Write a BEIR folder from own documents, with synthetic known-item queries.

    Long texts are split into passages at paragraphs (Markdown also at headings). Every passage long enough
    lends its first sentence as a query and keeps the rest, so that no query stands in its own document.

    Args:
        paths: Text, Markdown, JSONL or CSV files, or folders of them.
        out: The folder to make.
        force: Replace it where it exists.

    Returns:
        What was written.

    Raises:
        CallError: A path is missing or of another kind, or `out` exists.
        DataError: A file is malformed, or nothing in the files can be asked for.
    """
    if out.exists() and not force:
        raise CallError(f"'{out}' exists: choose another --out, or pass --force to replace it")
    files = sorted({file for path in paths for file in _list_files(path)})
    passages = [passage for file in files for passage in _read_file(file)]
    corpus, queries = _take_queries(passages)
    if not queries:
        raise DataError(
            f"{len(passages)} passages in {len(files)} files, none long enough to lend a query: expected passages "
            f"of a sentence of {_QUERY_WORDS.start} words or more and {_FEWEST_REST_WORDS} words after it"
        )
    _write(out, corpus, queries)
    return BuiltDataset(out, len(files), len(corpus), len(queries))


def _list_files(path: Path) -> list[Path]:
    if path.is_dir():
        found = sorted(file for file in path.rglob("*") if file.is_file() and file.suffix.lower() in _READABLE)
        if not found:
            raise CallError(f"'{path}' holds no document: expected files ending in {', '.join(_READABLE)}")
        return found
    if not path.exists():
        raise CallError(f"there is no file '{path}'")
    if path.suffix.lower() not in _READABLE:
        raise CallError(f"'{path}' is no document this reads: expected a file ending in {', '.join(_READABLE)}")
    return [path]


def _read_file(path: Path) -> Iterator[_Passage]:
    suffix = path.suffix.lower()
    try:
        if suffix == ".jsonl":
            yield from _read_jsonl(path)
        elif suffix == ".csv":
            yield from _read_csv(path)
        else:
            text = path.read_text(encoding="utf-8-sig")
            yield from _split_markdown(path, text) if suffix in _MARKDOWN else _split_text(path.name, "", text)
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 ({error.reason} at byte {error.start})") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error


def _read_jsonl(path: Path) -> Iterator[_Passage]:
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            raise DataError(f"{path}:{number}: not JSON ({error}); expected one object a line") from error
        if not isinstance(record, dict) or not isinstance(record.get("text"), str):
            raise DataError(f'{path}:{number}: expected an object with a string "text", found {line[:60]}')
        yield from _split_text(f"{path.name}:{number}", str(record.get("title") or ""), record["text"])


def _read_csv(path: Path) -> Iterator[_Passage]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        if "text" not in (reader.fieldnames or ()):
            raise DataError(f"{path}:1: expected a column 'text' (and perhaps 'title'), found {reader.fieldnames}")
        try:
            for row in reader:
                yield from _split_text(f"{path.name}:{reader.line_num}", row.get("title") or "", row["text"] or "")
        except csv.Error as error:
            raise DataError(f"{path}:{reader.line_num}: not CSV ({error})") from error


def _split_markdown(path: Path, text: str) -> Iterator[_Passage]:
    title, fenced = "", False
    lines: list[str] = []
    for line in text.splitlines():
        fenced ^= line.lstrip().startswith("```")
        heading = None if fenced else _HEADING.match(line)
        if heading:
            yield from _split_text(path.name, title, "\n".join(lines))
            title, lines = heading[1], []
        else:
            lines.append(line)
    yield from _split_text(path.name, title, "\n".join(lines))


def _split_text(source: str, title: str, text: str) -> Iterator[_Passage]:
    """Pack whole paragraphs into passages of about _PASSAGE_WORDS words."""
    packed: list[str] = []
    for paragraph in re.split(r"\n\s*\n", text.replace("\r\n", "\n")):
        words = paragraph.split()
        if packed and len(packed) + len(words) > _PASSAGE_WORDS:
            yield _Passage(source, title, " ".join(packed))
            packed = []
        packed += words
    if packed:
        yield _Passage(source, title, " ".join(packed))


def _take_queries(passages: Sequence[_Passage]) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    corpus: list[dict[str, object]] = []
    queries: list[dict[str, object]] = []
    asked: set[str] = set()
    for number, passage in enumerate(passages, start=1):
        query, _, rest = _SENTENCE_END.sub("\n", passage.text, count=1).partition("\n")
        asked_here = len(query.split()) in _QUERY_WORDS and len(rest.split()) >= _FEWEST_REST_WORDS
        asked_here = asked_here and query not in asked and query not in rest
        if asked_here:
            asked.add(query)
            metadata = {"synthetic": SYNTHETIC, "document": f"d{number}"}
            queries.append({"_id": f"q{number}", "text": query, "metadata": metadata})
        text = rest if asked_here else passage.text
        record = {"_id": f"d{number}", "title": passage.title, "text": text}
        corpus.append({**record, "metadata": {"source": passage.source}})
    return corpus, queries


def _write(out: Path, corpus: Sequence[dict[str, object]], queries: Sequence[dict[str, object]]) -> None:
    """Write the folder beside its final place and rename it, so that it is whole or not there."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as scratch:
            made = Path(scratch) / "made"
            (made / "qrels").mkdir(parents=True)
            _write_lines(made / "corpus.jsonl", [json.dumps(record, ensure_ascii=False) for record in corpus])
            _write_lines(made / "queries.jsonl", [json.dumps(record, ensure_ascii=False) for record in queries])
            judged = [f"{query['_id']}\td{str(query['_id'])[1:]}\t1" for query in queries]
            _write_lines(made / "qrels" / "test.tsv", ["query-id\tcorpus-id\tscore", *judged])
            if out.exists():
                shutil.move(out, Path(scratch) / "replaced")
            made.rename(out)
    except OSError as error:
        raise DataError(f"'{out}' cannot be written: {error}") from error


def _write_lines(path: Path, lines: Sequence[str]) -> None:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
