"""The lines of text files, read as a stream, with every fault named by file and line."""

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

# In bytes, 64 MiB. A small archive can hold a line of gigabytes, and a line is read whole.
LONGEST_LINE = 1 << 26

# What a damaged, encrypted or oddly packed file, a disk or a network makes reading raise.
UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError)
# Half a character, which JSON can write and UTF-8 cannot.
SURROGATE = re.compile("[\ud800-\udfff]")


class Mark(NamedTuple):
    """A position in a file that reading can begin at.

    Attributes:
        offset: Bytes before it; in Parquet files, rows.
        number: Lines or rows before it.
    """

    offset: int
    number: int


START = Mark(0, 0)


def label(path: Any) -> str:
    """Return a file's name with its folder's, as messages show it."""
    parts = str(path).split(os.sep)
    return "/".join(parts[-3:] if "qrels" in parts[-2:-1] else parts[-2:])


def replace_surrogates(text: str) -> str:
    """Return a text with the replacement character for every half character in it."""
    return SURROGATE.sub("\ufffd", text)


def read_lines(path: Any, start: Mark = START) -> Iterator[tuple[Mark, str]]:
    """Yield the lines of a file that are not blank, with where they begin.

    Args:
        path: The file, as a `pathlib`, `zipfile` or remote path; what ends in `.gz` is unpacked.
        start: Where to begin.

    Raises:
        DataError: The file is missing, cannot be read, is not UTF-8, or has a line longer than `LONGEST_LINE`.
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
    """Yield the lines of an open file with their ends, never more than `LONGEST_LINE` bytes at once.

    Raises:
        OverflowError: One is longer.
    """
    while data := file.readline(LONGEST_LINE + 1):
        if len(data) > LONGEST_LINE:
            raise OverflowError(
                f"a line of more than {LONGEST_LINE >> 20} MiB: expected one record or judgement a line; split the text"
            )
        yield data


@contextmanager
def _open(path: Any) -> Iterator[Any]:
    with ExitStack() as stack:
        file = stack.enter_context(path.open("rb"))
        yield stack.enter_context(gzip.open(file)) if path.name.endswith(".gz") else file


def parse_json(line: str, location: str) -> Any:
    """Return what a line of JSON holds; messages name its file and line, `location`.

    Raises:
        DataError: It is no JSON.
    """
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{location}: not JSON ({error}); expected one object a line") from error
