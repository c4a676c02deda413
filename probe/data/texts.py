"""Texts with ids: in memory, or streamed from wherever they lie."""

import hashlib
from array import array
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from probe.data.images import ImageFile

__all__ = ["BLOCK", "Documents", "EqualTexts", "TextHash", "TextKeys", "Texts", "chunks", "select", "shorten", "spread"]

# Reading may begin at every so-many-th document.
BLOCK = 1024


class Documents(Protocol):
    """A corpus that can be read any number of times, from its beginning or from any document on, without being held."""

    def __len__(self) -> int:
        """Return the number of documents."""

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Yield id and text, in file order."""

    def read(self, start: int, count: int) -> "Texts":
        """Return documents from number `start` on; fewer than `count` come where the corpus ends."""

    @property
    def text_hash(self) -> str:
        """sha256 over all ids and texts."""

    @property
    def equal_texts(self) -> "EqualTexts":
        """Which documents have the text of another one."""


class TextHash:
    """A sha256 over rows of strings that tells where each string ends."""

    def __init__(self) -> None:
        """Begin with no row."""
        self._digest = hashlib.sha256()

    def add(self, *parts: str) -> None:
        """Take in a row."""
        for part in parts:
            data = part.encode("utf-8", "surrogatepass")
            self._digest.update(len(data).to_bytes(8, "big") + data)

    def hexdigest(self) -> str:
        """Return 64 hexadecimal digits."""
        return self._digest.hexdigest()

    @classmethod
    def of(cls, rows: Iterable[tuple[str, ...]]) -> str:
        """Return the hash over all rows."""
        digest = cls()
        for row in rows:
            digest.add(*row)
        return digest.hexdigest()


@dataclass(frozen=True)
class EqualTexts:
    """The documents of a corpus that have the text of another one.

    Attributes:
        positions: Where in the corpus they are, in rising order `(M,)`.
        groups: Which of them are alike: a number per text `(M,)`.
    """

    positions: NDArray[np.int64]
    groups: NDArray[np.int64]


class TextKeys:
    """Eight bytes per text, the same for equal ones; images are equal where their bytes are."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        """Begin with some texts."""
        self._keys = array("q")
        for text in texts:
            self.add(text)

    def add(self, text: str) -> None:
        """Take in the next text."""
        self._keys.append(hash(text.removeprefix(text.name) if isinstance(text, ImageFile) else text))

    def find_equal(self) -> EqualTexts:
        """Return which of the texts are equal to another one."""
        keys = np.frombuffer(self._keys, np.int64)
        order = np.argsort(keys, kind="stable")
        again = keys[order[1:]] == keys[order[:-1]]
        follows, leads = np.concatenate([[False], again]), np.concatenate([again, [False]])
        if not len(keys) or not again.any():
            return EqualTexts(np.empty(0, np.int64), np.empty(0, np.int64))
        members = follows | leads
        positions, groups = order[members], np.cumsum(leads & ~follows)[members]
        rising = np.argsort(positions)
        return EqualTexts(positions[rising], groups[rising])


@dataclass(frozen=True)
class Texts:
    """Texts with their ids in memory, in file order."""

    ids: tuple[str, ...]
    texts: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return zip(self.ids, self.texts, strict=True)

    def read(self, start: int, count: int) -> "Texts":
        """Return texts from number `start` on; fewer than `count` come at the end."""
        return Texts(self.ids[start : start + count], self.texts[start : start + count])

    @cached_property
    def text_hash(self) -> str:
        """sha256 over all ids and texts."""
        return TextHash.of(self)

    @cached_property
    def equal_texts(self) -> EqualTexts:
        """Which of the texts are equal to another one."""
        return TextKeys(self.texts).find_equal()

    @classmethod
    def gather(cls, rows: Iterable[tuple[str, str]]) -> "Texts":
        """Hold rows of id and text in memory."""
        ids, texts = [], []
        for name, text in rows:
            ids.append(name)
            texts.append(text)
        return cls(tuple(ids), tuple(texts))


def chunks(documents: Documents, size: int) -> Iterator[Texts]:
    """Yield the documents in pieces of `size`, in order; the last one may be smaller."""
    rows = iter(documents)
    while len(chunk := Texts.gather(islice(rows, size))):
        yield chunk


@dataclass(frozen=True)
class _Selection:
    """Some of a corpus's documents."""

    documents: Documents
    always: Container[str]
    others: int
    count: int

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return (row for _, row in self._choose(enumerate(self.documents), self.others))

    def read(self, start: int, count: int) -> Texts:
        """Return documents from number `start` on; fewer than `count` come at the end."""
        end = min(start + count, self.count)
        if start >= end:
            return Texts((), ())
        first, spare = self._survey[1][start // BLOCK]
        rows = (row for _, row in self._choose(self._rows_from(first), spare))
        return Texts.gather(islice(rows, start % BLOCK, start % BLOCK + end - start))

    @cached_property
    def text_hash(self) -> str:
        """sha256 over the selected ids and texts."""
        return self._survey[0]

    @cached_property
    def equal_texts(self) -> EqualTexts:
        """Which of the selected documents have the text of another one."""
        return self._survey[2]

    @cached_property
    def _survey(self) -> tuple[str, list[tuple[int, int]], EqualTexts]:
        """The hash; per block the row where it begins and how many others are still taken; the equal texts."""
        digest, marks, keys = TextHash(), [], TextKeys()
        for number, (mark, row) in enumerate(self._choose(enumerate(self.documents), self.others)):
            if number % BLOCK == 0:
                marks.append(mark)
            digest.add(*row)
            keys.add(row[1])
        return digest.hexdigest(), marks, keys.find_equal()

    def _choose(
        self, rows: Iterator[tuple[int, tuple[str, str]]], spare: int
    ) -> Iterator[tuple[tuple[int, int], tuple[str, str]]]:
        """Yield the rows that are taken, each after its number and the others that could be taken before it."""
        for number, row in rows:
            taken = row[0] not in self.always
            if taken and not spare:
                continue
            yield (number, spare), row
            spare -= taken

    def _rows_from(self, first: int) -> Iterator[tuple[int, tuple[str, str]]]:
        """Yield the corpus's rows from a number on, block by block."""
        for start in range(first // BLOCK * BLOCK, len(self.documents), BLOCK):
            rows = enumerate(self.documents.read(start, BLOCK), start)
            yield from islice(rows, max(0, first - start), None)


def select(documents: Documents, always: Container[str], total: int) -> Documents:
    """Select about `total` documents.

    Args:
        documents: The whole corpus.
        always: Ids of documents that are kept, however many they are.
        total: Documents to reach with the first of the others.

    Returns:
        A view on the corpus, read as a stream like the corpus itself.
    """
    kept = sum(name in always for name, _ in documents)
    others = min(max(0, total - kept), len(documents) - kept)
    return _Selection(documents, always, others, kept + others)


def shorten(text: str, longest: int) -> str:
    """Return a text, or its beginning with an ellipsis where it is longer than this many characters."""
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "…"


def spread(count: int, wanted: int) -> tuple[int, ...]:
    """Return at most `wanted` numbers below `count`, spread evenly from the first to the last."""
    numbers = np.linspace(0, count - 1, min(count, wanted)).round().astype(int)
    return tuple(np.unique(numbers).tolist())
