"""Readers of text, Markdown, JSONL and CSV files into passages that fit an encoder's input."""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from probe.errors import CallError, DataError
from probe.io.text_lines import parse_json, replace_surrogates

__all__ = ["DOCUMENT_FILES", "SENTENCE_END", "Passage", "count_words", "list_documents", "read_passages"]

_MARKDOWN = (".md", ".markdown")
_TEXT = (".txt", ".text", ".rst")
DOCUMENT_FILES = (*_MARKDOWN, *_TEXT, ".jsonl", ".csv")
# Roughly what fits into 256 tokens.
_PASSAGE_WORDS = 150
_LONGEST_CSV_FIELD = 2**31 - 1

_HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*$")
SENTENCE_END = re.compile(r"(?<=[.!?])\s+|(?<=[。！？])\s*")
# In scripts written without spaces, every character counts as a word.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\s\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+")


@dataclass(frozen=True)
class Passage:
    """A passage of a file.

    Attributes:
        source: File name, with the line in formats with records.
        title: Heading or title above it.
        text: Text with collapsed white space.
    """

    source: str
    title: str
    text: str


def _is_document(file: Path, folder: Path) -> bool:
    """Return whether to read a file of a folder: not hidden, and not part of a data set."""
    hidden = any(part.startswith(".") for part in file.relative_to(folder).parts)
    in_dataset = any((parent / "corpus.jsonl").exists() for parent in (file.parent, file.parent.parent))
    return file.is_file() and file.suffix.lower() in DOCUMENT_FILES and not hidden and not in_dataset


def list_documents(path: Path) -> list[Path]:
    """Return the files to read, sorted by name: `path` itself, or a folder's files that are not part of a data set.

    Raises:
        CallError: If there are none, or the file type is unsupported.
    """
    if path.is_dir():
        found = sorted(file for file in path.rglob("*") if _is_document(file, path))
        if not found:
            raise CallError(f"no documents in '{path}': expected files ending in {', '.join(DOCUMENT_FILES)}")
        return found
    if not path.exists():
        raise CallError(f"file '{path}' not found")
    if path.suffix.lower() not in DOCUMENT_FILES:
        raise CallError(f"unsupported file type of '{path}': expected {', '.join(DOCUMENT_FILES)}")
    return [path]


def read_passages(path: Path) -> Iterator[Passage]:
    """Yield passages of about 150 words from a text, Markdown, JSONL or CSV file in UTF-8.

    Raises:
        DataError: If the file is malformed or unreadable.
    """
    suffix = path.suffix.lower()
    try:
        if suffix == ".jsonl":
            yield from _read_jsonl(path)
        elif suffix == ".csv":
            yield from _read_csv(path)
        else:
            text = _read_text(path)
            yield from _split_markdown(path, text) if suffix in _MARKDOWN else _split_text(path.name, "", text)
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 ({error.reason} at byte {error.start})") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise DataError(f"{path}:{line}: not UTF-8 ({error.reason} at byte {error.start})") from error


def _read_jsonl(path: Path) -> Iterator[Passage]:
    for number, line in enumerate(_read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        record = parse_json(line, f"{path}:{number}")
        if not isinstance(record, dict) or not isinstance(record.get("text"), str):
            raise DataError(f'{path}:{number}: expected an object with a string "text", found {line[:60]}')
        yield from _split_text(f"{path.name}:{number}", str(record.get("title") or ""), record["text"])


def _read_csv(path: Path) -> Iterator[Passage]:
    csv.field_size_limit(_LONGEST_CSV_FIELD)
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        try:
            if "text" not in (reader.fieldnames or ()):
                found = ", ".join(map(repr, reader.fieldnames or ())) or "an empty file"
                raise DataError(
                    f"{path}:1: expected comma-separated columns with 'text' among them, found {found[:80]}"
                )
            for row in reader:
                yield from _split_text(f"{path.name}:{reader.line_num}", row.get("title") or "", row["text"] or "")
        except csv.Error as error:
            raise DataError(f"{path}:{reader.line_num}: not CSV ({error})") from error


def _split_markdown(path: Path, text: str) -> Iterator[Passage]:
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


def _split_text(source: str, title: str, text: str) -> Iterator[Passage]:
    """Pack whole paragraphs, or sentences of long ones, into passages of about _PASSAGE_WORDS words."""
    packed: list[str] = []
    size = 0
    for unit in _split_units(replace_surrogates(text)):
        words = count_words(unit)
        if packed and size + words > _PASSAGE_WORDS:
            yield Passage(source, title, " ".join(packed))
            packed, size = [], 0
        packed.append(unit)
        size += words
    if packed:
        yield Passage(source, title, " ".join(packed))


def _split_units(text: str) -> Iterator[str]:
    """Yield paragraphs, split into sentences if too long for a passage, and those into pieces if still too long."""
    for paragraph in re.split(r"\n\s*\n", text.replace("\r\n", "\n")):
        flat = " ".join(paragraph.split())
        if count_words(flat) <= _PASSAGE_WORDS:
            yield from [flat] if flat else []
            continue
        for sentence in SENTENCE_END.split(flat):
            ends = [match.end() for match in _WORD.finditer(sentence)]
            cuts = [0, *ends[_PASSAGE_WORDS - 1 :: _PASSAGE_WORDS], len(sentence)]
            pieces = (sentence[start:stop].strip() for start, stop in pairwise(cuts))
            yield from filter(None, pieces)


def count_words(text: str) -> int:
    """Count words; in scripts written without spaces, every character is one."""
    return sum(1 for _ in _WORD.finditer(text))
