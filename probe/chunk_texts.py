"""Chunks of a corpus one by one: where each lies, and its texts read again by another process."""

import pickle
from collections.abc import Iterator
from itertools import islice, repeat
from pathlib import Path
from typing import NamedTuple

from probe.beir_records import stream_records, text_of
from probe.errors import DataError
from probe.texts import Documents, Texts

__all__ = ["ChunkMark", "ChunkTexts", "can_be_sent", "mark_chunks"]

_UNKNOWN = -1


class ChunkMark(NamedTuple):
    """Where a chunk of a corpus is, and what it is.

    Attributes:
        number: The chunk's, from 0.
        offset: Byte of the corpus's file where its first line begins; -1 where the corpus is no file of lines.
        text_hash: sha256 over its ids and texts.
    """

    number: int
    offset: int
    text_hash: str


def can_be_sent(documents: Documents) -> bool:
    """Return whether a corpus is a handle that another process can use: not texts in memory, nor an open archive."""
    if isinstance(getattr(documents, "documents", documents), Texts):
        return False
    try:
        pickle.dumps(documents)
    except (TypeError, AttributeError, pickle.PicklingError):
        return False
    return True


def mark_chunks(documents: Documents, size: int) -> Iterator[ChunkMark]:
    """Yield a mark per chunk of a corpus, reading it once as a stream.

    Args:
        documents: The corpus.
        size: Documents of a chunk; the last one may be smaller.
    """
    path = _lines_of(documents)
    # The corpus is asked first: at its end it says whether it was changed.
    rows = zip(documents, repeat(_UNKNOWN) if path is None else _line_starts(path), strict=False)
    number = 0
    while piece := list(islice(rows, size)):
        yield ChunkMark(number, piece[0][1], Texts.gather(row for row, _ in piece).text_hash)
        number += 1


def _lines_of(documents: Documents) -> Path | None:
    """Return the file with a document per line, where the corpus is one; in a zip, going to a byte is reading to it."""
    path = getattr(documents, "path", None)
    return path if isinstance(path, Path) and path.suffix == ".jsonl" else None


def _line_starts(path: Path) -> Iterator[int]:
    """Yield where the lines begin that `read_lines` takes for lines."""
    offset = 0
    with path.open("rb") as file:
        for data in file:
            if data.decode("utf-8" if offset else "utf-8-sig").strip():
                yield offset
            offset += len(data)


class ChunkTexts:
    """Reads chunks of a corpus; those that come in order are read in one go where no byte leads to them."""

    def __init__(self, documents: Documents, size: int) -> None:
        """Read from a corpus in chunks of `size`."""
        self._documents = documents
        self._size = size
        self._rows = iter(documents)
        self._next: int | None = 0

    def read(self, mark: ChunkMark) -> Texts:
        """Return the texts of a chunk.

        Args:
            mark: What `mark_chunks` said of it, perhaps in another process.

        Raises:
            DataError: The corpus is not what it was there and then.
        """
        path = _lines_of(self._documents)
        if path is None or mark.offset == _UNKNOWN:
            texts = self._forward(mark.number)
        else:
            records = islice(stream_records(path, mark.offset), self._size)
            texts = Texts.gather((record["_id"], text_of(record)) for _, record in records)
        if texts.text_hash != mark.text_hash:
            raise DataError("the corpus was changed while it was read, or is another one here: start again")
        return texts

    def _forward(self, number: int) -> Texts:
        if self._next is None or number < self._next:
            self._rows, self._next = iter(self._documents), 0
        skipped = (number - self._next) * self._size
        # Whatever fails from here on leaves the rows nowhere: the next chunk begins anew.
        self._next = None
        next(islice(self._rows, skipped, skipped), None)
        texts = Texts.gather(islice(self._rows, self._size))
        self._next = number + 1
        return texts
