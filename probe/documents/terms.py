"""How many passages each word occurs in, and how many documents have each heading."""

import math
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from probe.formats.sentences import words_of

__all__ = ["TermTable", "plain_heading"]

_BUCKETS = 1 << 22


def _no_counts() -> "np.ndarray[tuple[int], np.dtype[np.uint32]]":
    return np.zeros(_BUCKETS, np.uint32)


@dataclass
class TermTable:
    """Document frequencies in hash buckets, 16 MiB each whatever the number of passages.

    Attributes:
        passages: Number of passages counted.
    """

    passages: int = 0
    _words: "np.ndarray[tuple[int], np.dtype[np.uint32]]" = field(default_factory=_no_counts, repr=False)
    _phrases: "np.ndarray[tuple[int], np.dtype[np.uint32]]" = field(default_factory=_no_counts, repr=False)

    def add_passage(self, text: str) -> None:
        """Count the words of a passage with its title."""
        self.passages += 1
        self._words[list({_bucket(word) for word in words_of(text)})] += 1

    def add_phrases(self, phrases: Iterable[str]) -> None:
        """Count headings or link texts; those of one document or target are given together."""
        self._phrases[list({_bucket(plain_heading(phrase)) for phrase in phrases})] += 1

    def frequency(self, word: str) -> int:
        """Return the number of passages with a word."""
        return int(self._words[_bucket(word)])

    def phrase_frequency(self, phrase: str) -> int:
        """Return the number of documents with a heading."""
        return int(self._phrases[_bucket(plain_heading(phrase))])

    def weight(self, word: str) -> float:
        """Return the inverse document frequency of a word, from 0 for words in every passage to 1 for unique ones."""
        if self.passages < 2:
            return 1.0
        return min(1.0, math.log(self.passages / max(1, self.frequency(word))) / math.log(self.passages))


def plain_heading(text: str) -> str:
    """Return a heading in lower case, without numbers and marks."""
    return " ".join(word for word in words_of(text) if not word.isdigit())


def _bucket(word: str) -> int:
    return zlib.crc32(word.encode("utf-8", "surrogatepass")) % _BUCKETS
