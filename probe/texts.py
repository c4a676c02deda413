"""Texts with ids: in memory, or streamed from wherever they lie."""

import hashlib
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Protocol

__all__ = ["Documents", "TextHash", "Texts", "chunks", "select"]


class Documents(Protocol):
    """A corpus that can be read from its beginning any number of times, without being held in memory."""

    def __len__(self) -> int:
        """Return the number of documents."""
        ...

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Yield id and text, in file order."""
        ...

    @property
    def text_hash(self) -> str:
        """sha256 over all ids and texts."""
        ...


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
class Texts:
    """Texts with their ids in memory, in file order."""

    ids: tuple[str, ...]
    texts: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return zip(self.ids, self.texts, strict=True)

    @cached_property
    def text_hash(self) -> str:
        """sha256 over all ids and texts."""
        return TextHash.of(self)

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
        spare = self.others
        for name, text in self.documents:
            if name in self.always:
                yield name, text
            elif spare > 0:
                spare -= 1
                yield name, text

    @cached_property
    def text_hash(self) -> str:
        """sha256 over the selected ids and texts."""
        return TextHash.of(self)


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
