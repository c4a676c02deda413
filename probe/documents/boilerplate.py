"""Boilerplate: blocks that many files repeat word for word, such as navigation and licences."""

import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from probe.formats.document import Block, Document
from probe.formats.registry import find_format

__all__ = ["BlockCounts", "drop_boilerplate"]

# Blocks in at least this many files, and this share of all files, are boilerplate.
_FEWEST_FILES = 5
_SHARE = 0.1
_BUCKETS = 1 << 22


@dataclass
class BlockCounts:
    """In how many files a block occurs, counted in hash buckets: 16 MiB whatever the number of files.

    Copies of a file count once: all of their blocks repeat, and none is boilerplate.

    Attributes:
        files: Number of distinct files seen.
    """

    files: int = 0
    _counts: "np.ndarray[tuple[int], np.dtype[np.uint32]]" = field(
        default_factory=lambda: np.zeros(_BUCKETS, np.uint32), repr=False
    )
    _seen: set[int] = field(default_factory=set, repr=False)
    _contents: set[int] = field(default_factory=set, repr=False)
    _is_copy: bool = field(default=False, repr=False)

    def add(self, document: Document, *, same_file: bool = False) -> None:
        """Count the blocks of a document; those of one file count once."""
        if not same_file:
            self._begin_file(document)
        if self._is_copy:
            return
        new = {_bucket(block.text) for block in document.blocks} - self._seen
        self._seen |= new
        self._counts[list(new)] += 1

    def _begin_file(self, document: Document) -> None:
        contents = hash(tuple(block.text for block in document.blocks))
        self._is_copy = contents in self._contents
        self._contents.add(contents)
        self.files += not self._is_copy
        self._seen.clear()

    @property
    def least(self) -> int:
        """The number of files from which on a block is boilerplate."""
        return max(_FEWEST_FILES, int(np.ceil(_SHARE * self.files)))

    def is_boilerplate(self, block: Block) -> bool:
        """Return whether a block occurs in many files."""
        return bool(self._counts[_bucket(block.text)] >= self.least)


def _bucket(text: str) -> int:
    return zlib.crc32(" ".join(text.lower().split()).encode("utf-8", "surrogatepass")) % _BUCKETS


def drop_boilerplate(document: Document, counts: BlockCounts) -> tuple[Document, list[str]]:
    """Return a document without boilerplate, and the texts that were dropped."""
    found = find_format(Path(document.path))
    if found is not None and found.module == "source_code":
        return document, []  # parameters of one name are described alike, and licences are gone already
    dropped = [block.text for block in document.blocks if counts.is_boilerplate(block)]
    return (replace(document, blocks=_rest(document.blocks, counts)), dropped) if dropped else (document, [])


def _rest(blocks: Iterable[Block], counts: BlockCounts) -> tuple[Block, ...]:
    return tuple(block for block in blocks if not counts.is_boilerplate(block))
