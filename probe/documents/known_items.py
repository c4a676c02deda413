"""Known-item queries: an informative sentence taken out of its passage, and its keywords."""

from collections.abc import Iterator
from dataclasses import dataclass

from probe.documents.passages import Passage
from probe.documents.queries import Query, gives_away, is_readable, replace_block, shared_share
from probe.documents.terms import TermTable
from probe.formats.sentences import count_words, split_sentences, words_of

__all__ = ["take_sentence"]

_WORDS = range(6, 31)
_FEWEST_REST_WORDS = 20
# Share of a sentence's words in the title from which on it is an echo of it.
_ECHO = 0.5
_FEWEST_SHARED = 2
_INFORMATIVE = 0.35
_KEYWORDS = range(2, 6)
# English: words at the beginning of a sentence that refer to the one before it.
_DANGLING = frozenset(
    [
        "this",
        "that",
        "these",
        "those",
        "it",
        "they",
        "he",
        "she",
        "its",
        "their",
        "such",
        "here",
        "there",
        "however",
        "also",
        "then",
        "thus",
        "therefore",
        "but",
        "and",
        "or",
        "so",
        "see",
        "note",
        "otherwise",
        "furthermore",
        "moreover",
        "additionally",
        "instead",
    ]
)


@dataclass(frozen=True)
class _Candidate:
    text: str
    block: int
    rest: Passage
    worth: float


def take_sentence(passage: Passage, terms: TermTable) -> tuple[Passage, tuple[Query, ...]]:
    """Take the most informative sentence out of a passage.

    Returns:
        The passage without the sentence, and two queries: the sentence and its keywords. The passage itself and no
        query, if no sentence will do.
    """
    best = max(_candidates(passage, terms), key=lambda one: one.worth, default=None)
    if best is None:
        return passage, ()
    queries = [Query(best.text, "sentence", (passage.id,), passage.document)]
    keywords = _keywords(best.text, best.rest.text, terms)
    if keywords:
        queries.append(Query(keywords, "keywords", (passage.id,), passage.document))
    return best.rest, tuple(queries)


def _candidates(passage: Passage, terms: TermTable) -> Iterator[_Candidate]:
    total = count_words(passage.text)
    for number, block in enumerate(passage.blocks):
        if block.kind not in ("prose", "list"):
            continue
        sentences = split_sentences(block.text)
        for place, sentence in enumerate(sentences):
            if total - count_words(sentence) < _FEWEST_REST_WORDS or not _is_query(sentence, block.text):
                continue
            rest = replace_block(passage, number, [*sentences[:place], *sentences[place + 1 :]])
            worth = _worth(sentence, passage.title, rest.text, terms)
            if worth is not None:
                yield _Candidate(sentence, number, rest, worth)


def _is_query(sentence: str, block: str) -> bool:
    """Return whether a sentence reads like a query; it begins with a capital letter in texts that have any."""
    begins = not sentence[0].islower() or block.islower()
    return begins and sentence[-1] in ".!?。！？" and is_readable(sentence, _WORDS)


def _worth(sentence: str, title: str, rest: str, terms: TermTable) -> float | None:
    """Return how much a sentence tells, or None if it is an echo or has nothing to do with the rest."""
    words = set(words_of(sentence))
    content = {word for word in words if terms.weight(word) >= _INFORMATIVE}
    shared = content & set(words_of(rest))
    if len(shared) < _FEWEST_SHARED or shared_share(sentence, title) >= _ECHO or sentence in rest:
        return None
    worth = sum(terms.weight(word) for word in content) / max(6, len(words))
    worth -= 0.5 * gives_away(sentence, rest, terms)
    return worth - 0.3 * (words_of(sentence)[0] in _DANGLING)


def _keywords(sentence: str, rest: str, terms: TermTable) -> str:
    """Return the words of a sentence that tell most, in their order, without words that give the passage away."""
    words = list(dict.fromkeys(words_of(sentence)))
    inside = set(words_of(rest))
    usable = [
        word
        for word in words
        if terms.weight(word) >= _INFORMATIVE
        and not word.isdigit()
        and not (word in inside and terms.frequency(word) <= 1)
    ]
    chosen = set(sorted(usable, key=lambda word: (-terms.weight(word), word))[: _KEYWORDS.stop - 1])
    return " ".join(word for word in words if word in chosen) if len(chosen) >= _KEYWORDS.start else ""
