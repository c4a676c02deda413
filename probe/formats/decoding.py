"""Text files: compression, size limits, encodings; plain text of any size as documents."""

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from probe.formats.document import Block, Document, RecordFields, SourceFile, UnreadableFile
from probe.io.files import reason

__all__ = ["LARGEST", "decode", "open_text", "paragraphs", "read", "read_bytes", "read_text"]

# 64 MiB. Formats that are parsed whole are read up to this size, decompressed.
LARGEST = 1 << 26
_SAMPLE = 1 << 16
# Characters per document; larger files become several documents with one id.
_PART = 1 << 20
# A line or paragraph longer than this is split.
_LONGEST = 1 << 16
# Bytes of a streamed file that decide on its encoding.
_STREAM_SAMPLE = 1 << 18
_WIDE_SAMPLE = 2000
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
# Control characters that no text contains; form feeds and escapes are left to it.
_CONTROL = bytes({*range(0x20)} - {*b"\t\n\v\f\r\x1b\b"}) + b"\x7f"
_MOST_CONTROL = 0.005
_ESCAPES = {b"\x1b$)C": "iso2022_kr", b"\x1b$": "iso2022_jp_2"}
_BEYOND_ASCII = bytes(range(0x80, 0x100))
_FEW_BEYOND = 0.005
_TOO_FEW = 8


def read_bytes(path: Path, largest: int = LARGEST) -> bytes:
    """Return a file's contents, decompressed if its name ends in `.gz`.

    Raises:
        UnreadableFile: If it is empty, too large or unreadable.
    """
    with _open(path) as file:
        data = file.read(largest + 1)
    if len(data) > largest:
        raise UnreadableFile(f"larger than {largest >> 20} MiB")
    if not data.strip():
        raise UnreadableFile("empty")
    return data


def read_text(path: Path) -> str:
    """Return a file's contents as text.

    Raises:
        UnreadableFile: If it is empty, too large, unreadable or binary.
    """
    return decode(read_bytes(path))


def decode(data: bytes, declared: str | None = None) -> str:
    """Return bytes as text, in the encoding that they have.

    Args:
        data: Contents of a file.
        declared: Encoding that the file names itself.

    Raises:
        UnreadableFile: If they are binary, or the encoding cannot be found.
    """
    return data.decode(_find_encoding(data, declared), "replace").removeprefix("\ufeff")


@contextmanager
def open_text(path: Path) -> Iterator[IO[str]]:
    """Open a text file of any size; its encoding is found in its beginning, and line endings are left as they are.

    Raises:
        UnreadableFile: If it is empty, unreadable or binary.
    """
    with _open(path) as file:
        sample = file.read(_STREAM_SAMPLE)
    if not sample.strip():
        raise UnreadableFile("empty")
    encoding = _find_encoding(sample)
    with _open(path) as file, io.TextIOWrapper(file, encoding, errors="replace", newline="") as text:
        yield text


def read(file: SourceFile, fields: RecordFields) -> Iterator[Document]:
    """Yield the documents of a text file: one per MiB.

    Raises:
        UnreadableFile: If it is binary, empty or unreadable.
    """
    blocks: list[Block] = []
    size = 0
    with open_text(file.path) as lines:
        for paragraph in paragraphs(lines):
            blocks.append(Block(paragraph))
            size += len(paragraph)
            if size >= _PART:
                yield Document(file.name, file.name, "", tuple(blocks))
                blocks, size = [], 0
    if blocks:
        yield Document(file.name, file.name, "", tuple(blocks))


def paragraphs(lines: IO[str]) -> Iterator[str]:
    """Yield paragraphs with collapsed white space, without underlines and other rules."""
    held: list[str] = []
    size = 0
    while line := lines.readline(_LONGEST):
        words = " ".join(line.split())
        if held and (not words or size > _LONGEST):
            yield " ".join(held)
            held, size = [], 0
        if any(character.isalnum() for character in words):
            held.append(words)
            size += len(words)
    if held:
        yield " ".join(held)


@contextmanager
def _open(path: Path) -> Iterator[IO[bytes]]:
    opener = gzip.open if path.suffix.lower() == ".gz" else open
    try:
        with opener(path, "rb") as file:
            yield file  # type: ignore[misc]
    except (zlib.error, EOFError, gzip.BadGzipFile) as error:
        raise UnreadableFile(f"damaged gzip file ({error})") from error
    except OSError as error:
        raise UnreadableFile(reason(error)) from error


def _find_encoding(data: bytes, declared: str | None = None) -> str:
    for mark, encoding in _MARKS.items():
        if data.startswith(mark):
            return encoding
    sample = data[:_SAMPLE]
    if special := _find_wide(sample) or _find_escaped(sample):
        return special
    _refuse_binary(sample)
    for name in filter(None, ("utf-8", declared)):
        try:
            codecs.getincrementaldecoder(name)().decode(data)
        except (UnicodeDecodeError, LookupError) as error:
            start = getattr(error, "start", 0)
            if name == "utf-8" and _is_damaged(data[max(0, start - _SAMPLE) : start + _SAMPLE]):
                return "utf-8"
            if name == "utf-8":
                # The encoding shows near the first byte that is not UTF-8; what precedes may be ASCII.
                sample = data[max(0, start - _SAMPLE // 4) : start + _SAMPLE]
            continue
        return name
    return _guess(sample)


def _is_damaged(data: bytes) -> bool:
    """Return whether bytes are UTF-8 with a few damaged places."""
    text = data.decode("utf-8", "ignore")
    good = len(text.encode()) - sum(character < "\x80" for character in text)
    bad = len(data) - len(text.encode())
    return good > 20 * bad


def _refuse_binary(sample: bytes) -> None:
    control = len(sample) - len(sample.translate(None, _CONTROL))
    if control > _MOST_CONTROL * len(sample):
        raise UnreadableFile("binary content")


def _find_wide(sample: bytes) -> str | None:
    """Return the encoding of UTF-16 or UTF-32 without a byte order mark, which the zeros of ASCII show."""
    few = sample[: min(_WIDE_SAMPLE, len(sample) // 4 * 4)]
    zeros = [few[start::4].count(0) > 0.7 * len(few[start::4]) for start in range(4)] if few else []
    names = {
        (True, True, True, False): "utf-32-be",
        (False, True, True, True): "utf-32-le",
        (True, False, True, False): "utf-16-be",
        (False, True, False, True): "utf-16-le",
    }
    return names.get(tuple(zeros))  # type: ignore[arg-type]


def _find_escaped(sample: bytes) -> str | None:
    """Return the encoding of Japanese or Korean in seven bits."""
    for sign, encoding in _ESCAPES.items():
        if sign in sample:
            with suppress(UnicodeDecodeError):
                codecs.getincrementaldecoder(encoding)().decode(sample)
                return encoding
    return None


def _guess(sample: bytes) -> str:
    """Return the likeliest encoding; few letters outside ASCII say too little, and are Western as a rule."""
    from charset_normalizer import from_bytes

    beyond = len(sample) - len(sample.translate(None, _BEYOND_ASCII))
    if beyond < max(_TOO_FEW, _FEW_BEYOND * len(sample)):
        with suppress(UnicodeDecodeError):
            sample.decode("cp1252")
            return "cp1252"
    best = from_bytes(sample).best()
    if best is None:
        raise UnreadableFile("unknown encoding: convert it to UTF-8")
    return str(best.encoding)
