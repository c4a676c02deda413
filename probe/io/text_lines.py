"""Streaming reader of text lines; errors give the file and line."""

import gzip
import json
import os
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

from probe.errors import DataError

__all__ = [
    "LONGEST_LINE",
    "START",
    "SURROGATE",
    "UNREADABLE",
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
    """Yield the non-blank lines of a file with their positions.

    Args:
        path: A `pathlib`, `zipfile` or remote path; `.gz` files are decompressed.
        start: Start position.

    Raises:
        DataError: If the file is missing, unreadable, not UTF-8, or has a line longer than `LONGEST_LINE`.
    """
    offset, number = start
    try:
        if not path.exists():
            raise DataError(f"{label(path)} is missing: a BEIR data set has corpus.jsonl, queries.jsonl and qrels/")
        with _open(path) as file:
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
        raise DataError(f"{label(path)}:{number + 1}: cannot be read ({error})") from error


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


@contextmanager
def _open(path: Any) -> Iterator[Any]:
    with ExitStack() as stack:
        file = stack.enter_context(path.open("rb"))
        yield stack.enter_context(gzip.open(file)) if path.name.endswith(".gz") else file


def parse_json(line: str, location: str) -> Any:
    """Parse a line of JSON; `location` is its file:line in messages.

    Raises:
        DataError: If it is not valid JSON.
    """
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{location}: not JSON ({error}); expected one object per line") from error
