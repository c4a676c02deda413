"""Texts with ids, in memory or streamed."""

import hashlib
from array import array
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from probe.data.images import ImageFile
from probe.errors import DataError, wrong_type

__all__ = [
    "BLOCK",
    "Documents",
    "EqualTexts",
    "SelectedTexts",
    "TextHash",
    "TextKeys",
    "Texts",
    "chunks",
    "shorten",
    "spread",
]

# Reading can start at every multiple of this document number.
BLOCK = 1024


class Documents(Protocol):
    """A streamed corpus that can be read repeatedly, from the start or from any document."""

    def __len__(self) -> int:
        """Return the number of documents."""

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Yield id and text, in file order."""

    def read(self, start: int, count: int) -> "Texts":
        """Return up to `count` documents from number `start` on."""

    @property
    def text_hash(self) -> str:
        """Return the sha256 of all ids and texts."""

    @property
    def equal_texts(self) -> "EqualTexts":
        """Documents whose text occurs more than once."""


class TextHash:
    """A sha256 of rows of strings that also covers the string boundaries."""

    def __init__(self) -> None:
        """Create a hash without rows."""
        self._digest = hashlib.sha256()

    def add(self, *parts: str) -> None:
        """Add a row."""
        for part in parts:
            data = part.encode("utf-8", "surrogatepass")
            self._digest.update(len(data).to_bytes(8, "big") + data)

    def hexdigest(self) -> str:
        """Return 64 hexadecimal digits."""
        return self._digest.hexdigest()

    @classmethod
    def of(cls, rows: Iterable[tuple[str, ...]]) -> str:
        """Return the hash of all rows."""
        digest = cls()
        for row in rows:
            digest.add(*row)
        return digest.hexdigest()


@dataclass(frozen=True)
class EqualTexts:
    """The documents of a corpus whose text occurs more than once.

    Attributes:
        positions: Their positions in the corpus, ascending, `(M,)`.
        groups: A number per distinct text, `(M,)`.
    """

    positions: NDArray[np.int64]
    groups: NDArray[np.int64]


class TextKeys:
    """Eight-byte keys of texts; images are compared by content."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        """Create keys of the given texts."""
        self._keys = array("q")
        for text in texts:
            self.add(text)

    def add(self, text: str) -> None:
        """Add a text."""
        self._keys.append(hash(text.removeprefix(text.name) if isinstance(text, ImageFile) else text))

    def find_equal(self) -> EqualTexts:
        """Return the texts that occur more than once."""
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
        """Return up to `count` texts from number `start` on."""
        return Texts(self.ids[start : start + count], self.texts[start : start + count])

    @cached_property
    def text_hash(self) -> str:
        """Return the sha256 of all ids and texts."""
        return TextHash.of(self)

    @cached_property
    def equal_texts(self) -> EqualTexts:
        """Texts that occur more than once."""
        return TextKeys(self.texts).find_equal()

    @classmethod
    def number(cls, given: Sequence[str], source: str) -> "Texts":
        """Return strings without repetitions and empty ones, with their numbers from 1 on as ids.

        Args:
            given: The strings.
            source: Where they are from, for messages.

        Raises:
            CallError: This is no list of strings.
            DataError: All are empty.
        """
        others = [text for text in given if not isinstance(text, str)] if isinstance(given, Sequence) else [given]
        if isinstance(given, str) or others:
            raise wrong_type("texts", others[0] if others else given, "a list of strings")
        texts = tuple(dict.fromkeys(text for text in given if text))
        if not texts:
            raise DataError(f"'{source}' has no texts: expected at least one")
        return cls(tuple(map(str, range(1, len(texts) + 1))), texts)

    @classmethod
    def gather(cls, rows: Iterable[tuple[str, str]]) -> "Texts":
        """Collect rows of id and text in memory."""
        ids, texts = [], []
        for name, text in rows:
            ids.append(name)
            texts.append(text)
        return cls(tuple(ids), tuple(texts))


@dataclass(frozen=True)
class SelectedTexts(Texts):
    """Some of several texts; their states are computed, and stored, with those of all: no text is encoded twice.

    Attributes:
        whole: All texts.
        rows: Positions of the selected ones in `whole`, ascending, `(N,)`.
    """

    whole: Texts
    rows: tuple[int, ...]

    @classmethod
    def of(cls, whole: Texts, names: Container[str]) -> "SelectedTexts":
        """Select the texts with the given ids."""
        rows = tuple(row for row, name in enumerate(whole.ids) if name in names)
        return cls(tuple(whole.ids[row] for row in rows), tuple(whole.texts[row] for row in rows), whole, rows)


def chunks(documents: Documents, size: int) -> Iterator[Texts]:
    """Yield the documents in chunks of `size`, in order; the last chunk may be smaller."""
    rows = iter(documents)
    while len(chunk := Texts.gather(islice(rows, size))):
        yield chunk


def shorten(text: str, longest: int) -> str:
    """Return a text, truncated with an ellipsis if longer than `longest` characters."""
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "…"


def spread(count: int, wanted: int) -> tuple[int, ...]:
    """Return at most `wanted` indices below `count`, spread evenly from first to last."""
    numbers = np.linspace(0, count - 1, min(count, wanted)).round().astype(int)
    return tuple(np.unique(numbers).tolist())
