"""How many passages each word and sentence occurs in, and how many documents have each heading."""

import math
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from probe.formats.sentences import split_sentences, words_of

__all__ = ["TermTable", "plain_heading"]

_BUCKETS = 1 << 22
# Words with a smaller weight are too common to tell what a text is about.
_TELLING = 0.3


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
    _sentences: "np.ndarray[tuple[int], np.dtype[np.uint32]]" = field(default_factory=_no_counts, repr=False)

    def add_passage(self, text: str) -> None:
        """Count the words and sentences of a passage with its title, each once."""
        self.passages += 1
        self._words[list({_bucket(word) for word in words_of(text)})] += 1
        sentences = {_bucket(one) for line in text.splitlines() for one in split_sentences(line)}
        self._sentences[list(sentences)] += 1

    def add_phrases(self, phrases: Iterable[str]) -> None:
        """Count headings; those of one document are given together."""
        self._phrases[list({_bucket(plain_heading(phrase)) for phrase in phrases})] += 1

    def frequency(self, word: str) -> int:
        """Return the number of passages with a word."""
        return int(self._words[_bucket(word)])

    def sentence_frequency(self, sentence: str) -> int:
        """Return the number of passages with a sentence."""
        return int(self._sentences[_bucket(sentence)])

    def phrase_frequency(self, phrase: str) -> int:
        """Return the number of documents with a heading."""
        return int(self._phrases[_bucket(plain_heading(phrase))])

    def weight(self, word: str) -> float:
        """Return the inverse document frequency of a word, from 0 for words in every passage to 1 for unique ones."""
        if self.passages < 2:
            return 1.0
        return min(1.0, math.log(self.passages / max(1, self.frequency(word))) / math.log(self.passages))

    def telling_words(self, text: str) -> set[str]:
        """Return the words of a text that are neither common in the collection nor function words of English.

        In small collections frequency alone does not show which words are common; in other languages than English it
        is the only sign.
        """
        return {word for word in words_of(text) if self._is_telling(word)}

    def _is_telling(self, word: str) -> bool:
        if word.isascii() and (len(word) < 2 or word.isdigit() or word.partition("'")[0] in _english()):
            return False
        return self.weight(word) >= _TELLING


@cache
def _english() -> frozenset[str]:
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    return frozenset(ENGLISH_STOP_WORDS) | _ENGLISH


# Function words that the list of scikit-learn lacks.
_ENGLISH = frozenset(
    (
        *("does", "did", "doing", "don", "doesn", "didn", "isn", "aren", "wasn", "won", "let", "lets"),
        *("just", "say", "says", "use", "uses", "used", "using", "see", "eg", "ie"),
    )
)


def plain_heading(text: str) -> str:
    """Return a heading in lower case, without numbers and marks."""
    return " ".join(word for word in words_of(text) if not word.isdigit())


def _bucket(word: str) -> int:
    return zlib.crc32(word.encode("utf-8", "surrogatepass")) % _BUCKETS
