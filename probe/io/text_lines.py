"""Streaming reader of text lines; errors give the file and line."""

import gzip
import json
import os
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, NamedTuple

from probe.errors import DataError

__all__ = [
    "LONGEST_LINE",
    "START",
    "SURROGATE",
    "UNREADABLE",
    "LineFile",
    "Mark",
    "bounded_lines",
    "label",
    "parse_json",
    "read_lines",
    "replace_surrogates",
]

# 64 MiB. Lines are read whole, and a small archive can contain a line of gigabytes.
LONGEST_LINE = 1 << 26

# Raised while reading damaged, encrypted or unusual archives, and by disks and networks.
UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError)
# Lone surrogates, which JSON can express and UTF-8 cannot.
SURROGATE = re.compile("[\ud800-\udfff]")


class Mark(NamedTuple):
    """A position in a file at which reading can start.

    Attributes:
        offset: Number of bytes before it; in Parquet files, of rows.
        number: Number of lines or rows before it.
    """

    offset: int
    number: int


START = Mark(0, 0)


def label(path: Any) -> str:
    """Return a file's name with its parent folder's, for messages."""
    parts = str(path).split(os.sep)
    return "/".join(parts[-3:] if "qrels" in parts[-2:-1] else parts[-2:])


def replace_surrogates(text: str) -> str:
    """Return a text with every lone surrogate replaced by the replacement character."""
    return SURROGATE.sub("\ufffd", text)


def read_lines(path: Any, start: Mark = START) -> Iterator[tuple[Mark, str]]:
    """Yield the non-blank lines of a file with their positions, as `LineFile.lines` does; close it at the end."""
    with LineFile(path) as file:
        yield from file.lines(start)


class LineFile:
    """A text file that stays open between reads: of a compressed file, a later part continues where one ended."""

    def __init__(self, path: Any) -> None:
        """Open the file at the first read.

        Args:
            path: A `pathlib`, `zipfile` or remote path; `.gz` files are decompressed.
        """
        self._path = path
        self._stack = ExitStack()
        self._file: Any = None

    def __enter__(self) -> "LineFile":
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; the next read opens it again."""
        self._file = None
        self._stack.close()

    def lines(self, start: Mark = START) -> Iterator[tuple[Mark, str]]:
        """Yield the non-blank lines with their positions; a read ends where the next one begins.

        Args:
            start: Start position.

        Raises:
            DataError: If the file is missing, unreadable, not UTF-8, or has a line longer than `LONGEST_LINE`.
        """
        path, (offset, number) = self._path, start
        try:
            file = self._open()
            file.seek(offset)
            for data in bounded_lines(file):
                line = data.decode("utf-8" if number else "utf-8-sig")
                if line.strip():
                    yield Mark(offset, number), line.rstrip("\r\n")
                offset, number = offset + len(data), number + 1
        except UnicodeDecodeError as error:
            raise DataError(f"{label(path)}:{number + 1}: not UTF-8 ({error.reason} at byte {error.start})") from error
        except OverflowError as error:
            raise DataError(f"{label(path)}:{number + 1}: {error}") from error
        except UNREADABLE as error:
            self.close()
            raise DataError(f"{label(path)}:{number + 1}: cannot be read ({error})") from error

    def _open(self) -> Any:
        if self._file is None:
            if not self._path.exists():
                expected = "a BEIR data set has corpus.jsonl, queries.jsonl and qrels/"
                raise DataError(f"{label(self._path)} is missing: {expected}")
            file = self._stack.enter_context(self._path.open("rb"))
            packed = self._path.name.endswith(".gz")
            self._file = self._stack.enter_context(gzip.GzipFile(fileobj=file, mode="rb")) if packed else file
        return self._file


def bounded_lines(file: Any) -> Iterator[bytes]:
    """Yield the lines of an open file with their endings.

    Raises:
        OverflowError: If a line has more than `LONGEST_LINE` bytes.
    """
    while data := file.readline(LONGEST_LINE + 1):
        if len(data) > LONGEST_LINE:
            raise OverflowError(
                f"line longer than {LONGEST_LINE >> 20} MiB: expected one record or judgement per line; split the text"
            )
        yield data


def parse_json(line: str, location: str) -> Any:
    """Parse a line of JSON; `location` is its file:line in messages.

    Raises:
        DataError: If it is not valid JSON.
    """
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{location}: not JSON ({error}); expected one object per line") from error
