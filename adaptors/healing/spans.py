"""Short spans of documents as further texts: they cost a fraction of a whole text, and are as short as queries."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from probe.formats.sentences import split_sentences, word_spans

__all__ = ["Span", "draw_spans"]

# Sentences of a span; one is the most frequent.
_SENTENCES = (1, 1, 1, 2, 3)
# Share of the spans that are further cut to a few words, as in a query of keywords.
_PARTS, _FEWEST_WORDS, _MOST_WORDS = 1 / 3, 3, 15
_FEWEST_CHARACTERS = 13
_MOST_DIVISIONS = 3


@dataclass(frozen=True)
class Span:
    """A part of a document.

    Attributes:
        document: Number of the document.
        text: Its text.
    """

    document: int
    text: str


def draw_spans(documents: Sequence[str], characters: int, seed: int) -> list[Span]:
    """Draw spans of one to three sentences, or of a few words of them.

    Random documents are divided into spans, again and again if there are few, until there are enough spans.

    Args:
        documents: The documents.
        characters: About how many characters the spans have together.
        seed: Random seed.

    Returns:
        Different spans in random order; fewer spans for fewer characters are the first ones.
    """
    rng, found = np.random.default_rng(seed), dict[str, int]()
    total = 0
    for _ in range(_MOST_DIVISIONS):
        for number in rng.permutation(len(documents)).tolist():
            if total >= characters:
                return [Span(document, text) for text, document in found.items()]
            for text in _divide(documents[number], rng):
                total += len(text) if text not in found else 0
                found.setdefault(text, number)
    return [Span(document, text) for text, document in found.items()]


def _divide(document: str, rng: np.random.Generator) -> Iterator[str]:
    sentences, start = split_sentences(" ".join(document.split())), 0
    while start < len(sentences):
        count = _SENTENCES[rng.integers(len(_SENTENCES))]
        text = " ".join(sentences[start : start + count])
        start += count
        if rng.random() < _PARTS:
            text = _few_words(text, rng)
        # A document of one sentence is a text already.
        if len(text) >= _FEWEST_CHARACTERS and len(text) < len(document):
            yield text


def _few_words(text: str, rng: np.random.Generator) -> str:
    words = word_spans(text)
    if len(words) <= 2 * _FEWEST_WORDS:
        return text
    count = int(rng.integers(_FEWEST_WORDS, min(len(words), _MOST_WORDS) + 1))
    first = int(rng.integers(0, len(words) - count + 1))
    return text[words[first][0] : words[first + count - 1][1]]
