"""Bytes of a file as text: compression, size limits, encodings."""

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO

from probe.formats.document import UnreadableFile
from probe.io.files import reason

__all__ = ["LARGEST", "decode", "open_text", "read_bytes", "read_text"]

# 64 MiB. Formats that are parsed whole are read up to this size, decompressed.
LARGEST = 1 << 26
_SAMPLE = 1 << 16
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
        UnreadableFile: If they are binary.
    """
    for encoding in filter(None, (_find_encoding(data[:_SAMPLE]), declared)):
        try:
            return data.decode(encoding)
        except (UnicodeDecodeError, LookupError):
            continue
    return data.decode(_guess(data[:_SAMPLE]), "replace")


@contextmanager
def open_text(path: Path) -> Iterator[IO[str]]:
    """Open a text file of any size; its encoding is found in the first 64 KiB, and line endings are left as they are.

    Raises:
        UnreadableFile: If it is empty, unreadable or binary.
    """
    with _open(path) as file:
        sample = file.read(_SAMPLE)
    if not sample.strip():
        raise UnreadableFile("empty")
    encoding = _find_encoding(sample) or _guess(sample)
    with _open(path) as file, io.TextIOWrapper(file, encoding, errors="replace", newline="") as text:
        yield text


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


def _find_encoding(sample: bytes) -> str | None:
    """Return the encoding named by a byte order mark, or UTF-8 if the bytes are valid in it."""
    for mark, encoding in _MARKS.items():
        if sample.startswith(mark):
            return encoding
    _refuse_binary(sample)
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample)
    except UnicodeDecodeError:
        return None
    return "utf-8"


def _refuse_binary(sample: bytes) -> None:
    control = len(sample) - len(sample.translate(None, _CONTROL))
    if control > _MOST_CONTROL * len(sample) and not _is_wide(sample):
        raise UnreadableFile("binary content")


def _is_wide(sample: bytes) -> bool:
    """Return whether every second byte is zero: UTF-16 without a mark."""
    few = bytes(islice(sample, 200))
    return len(few) >= 2 and (not any(few[::2]) or not any(few[1::2]))


def _guess(sample: bytes) -> str:
    from charset_normalizer import from_bytes

    best = from_bytes(sample).best()
    if best is None:
        raise UnreadableFile("unknown encoding: convert it to UTF-8")
    return str(best.encoding)
