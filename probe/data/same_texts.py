"""Documents of equal text, and documents that are a query themselves."""

from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from probe.data.images import ImageFile

__all__ = ["EqualTexts", "SharedIds", "SharedIdsBuilder", "TextKeys"]


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
class SharedIds:
    """Ids that a query and a document have in common.

    Attributes:
        same: Those whose texts are the same, too: the document is the query itself.
        other: Those whose texts differ: both were numbered from 1, for instance.
    """

    same: frozenset[str] = field(default=frozenset())
    other: frozenset[str] = field(default=frozenset())


class SharedIdsBuilder:
    """Finds the ids that queries and documents share while the documents stream by."""

    def __init__(self, queries: Mapping[str, str]) -> None:
        """Compare with queries, texts by id."""
        self._queries = queries
        self._same: set[str] = set()
        self._other: set[str] = set()

    def add(self, name: str, *texts: str) -> None:
        """Take in a document, by its id and its text with and without title; case and white space are no matter."""
        query = self._queries.get(name)
        if query is not None:
            (self._same if _plain(query) in map(_plain, texts) else self._other).add(name)

    def build(self) -> SharedIds:
        """Return what was found."""
        return SharedIds(frozenset(self._same), frozenset(self._other))


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()
