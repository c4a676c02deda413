"""Known-item queries: an informative sentence taken out of its passage, and its keywords."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from probe.documents.passages import Passage
from probe.documents.queries import Query, gives_away, is_readable, replace_block, shared_share
from probe.documents.terms import TermTable
from probe.formats.sentences import count_words, is_unspaced, split_sentences, words_of

__all__ = ["take_sentence"]

_WORDS = range(6, 31)
_FEWEST_REST_WORDS = 20
# Share of a sentence's words in the title from which on it is an echo of it.
_ECHO = 0.5
# Words of the sentence that the rest of the passage has; one alone is the second choice.
_USUAL_SHARED = 2
_FEWEST_TELLING = 3
_KEYWORDS = range(2, 6)
_ENDS = ".!?。！？।؟"
# Labels before a sentence, such as "Returns:" or "Note:", and marks in brackets, such as "(ALPHA)".
_LABELS = re.compile(r"^(?:[^\s:.!?,]+(?: [^\s:.!?,]+){0,3}:\s+|\([A-Z ]+\)\s+)+")
# English: words that refer to the sentence before.
_DANGLING = frozenset(
    (
        *("this", "that", "these", "those", "it", "they", "he", "she", "its", "their", "such", "here"),
        *("there", "however", "also", "then", "thus", "therefore", "but", "and", "or", "so", "see"),
        *("note", "otherwise", "furthermore", "moreover", "additionally", "instead", "either", "both"),
        *("first", "second", "third", "last", "latter", "former", "yes", "no", "finally", "similarly"),
        *("likewise", "again", "hence"),
    )
)
# Two sentences that could not be told apart.
_TWO = re.compile(r"\w{4}[.!?]\s+[a-z]")
_REFERRING = frozenset(
    (
        *("it", "they", "this", "these", "those", "them", "its", "their", "he", "she", "above", "below"),
        *("following",),
    )
)
_TERM = re.compile(r"[^\W_]+(?:[-'\u2019][^\W_]+)*")


@dataclass(frozen=True)
class _Candidate:
    text: str
    rest: Passage
    worth: float


def take_sentence(passage: Passage, terms: TermTable) -> tuple[Passage, tuple[Query, ...]]:
    """Take the most informative sentence out of a passage.

    Returns:
        The passage without the sentence, and two queries: the sentence and its keywords. The passage itself and no
        query, if no sentence will do. Scripts without spaces between words get no keywords.
    """
    best = max(_candidates(passage, terms), key=lambda one: one.worth, default=None)
    if best is None:
        return passage, ()
    queries = [Query(best.text, "sentence", (passage.id,), passage.document)]
    keywords = _keywords(best.text, best.rest, terms)
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
            labels = match.group() if (match := _LABELS.match(sentence)) else ""
            text = sentence[len(labels) :]
            if (
                total - count_words(text) < _FEWEST_REST_WORDS
                or not _is_query(text, block.text)
                or _is_repeated(text, sentence, terms)
            ):
                continue
            rest = replace_block(passage, number, [*sentences[:place], labels.strip(), *sentences[place + 1 :]])
            worth = _worth(text, rest, terms)
            if worth is not None:
                yield _Candidate(text, rest, worth)


def _is_query(text: str, block: str) -> bool:
    """Return whether a sentence reads like a query; it begins with a capital letter in texts that have any."""
    begins = text[:1].isupper() or (text[:1].isalpha() and not text[0].islower()) or block.islower()
    return begins and text[-1] in _ENDS and is_readable(text, _WORDS) and (block.islower() or not _TWO.search(text))


def _is_repeated(text: str, sentence: str, terms: TermTable) -> bool:
    return max(terms.sentence_frequency(text), terms.sentence_frequency(sentence)) > 1


def _worth(sentence: str, rest: Passage, terms: TermTable) -> float | None:
    """Return how much a sentence tells, or None if it is an echo or has nothing to do with the rest."""
    words, telling = words_of(sentence), terms.telling_words(sentence)
    other = f"{rest.title} {rest.text}"
    shared = telling & set(words_of(other))
    if len(telling) < _FEWEST_TELLING or not shared:
        return None
    if shared_share(sentence, rest.title) >= _ECHO or sentence in rest.text:
        return None
    worth = sum(terms.weight(word) for word in telling) / max(8, len(set(words)))
    worth -= 0.5 * gives_away(sentence, other, terms) + 0.2 * (len(shared) < _USUAL_SHARED)
    return worth - 0.3 * (words[0] in _DANGLING) - 0.1 * bool(_REFERRING & set(words))


def _keywords(sentence: str, rest: Passage, terms: TermTable) -> str:
    """Return two to five words of a sentence that tell most, in their order, without those that give it away."""
    if is_unspaced(sentence):
        return ""
    inside = set(words_of(f"{rest.title} {rest.text}"))
    weights: dict[str, float] = {}
    for word in _TERM.findall(sentence.lower()):
        parts = terms.telling_words(word)
        if parts and len(parts) == len(words_of(word)) and not any(_is_unique(part, inside, terms) for part in parts):
            # Words of the rest count more: a query of words that all left the passage would lead nowhere.
            weights[word] = max(terms.weight(part) + 0.2 * (part in inside) for part in parts)
    chosen = sorted(weights, key=lambda word: (-weights[word], word))[: _KEYWORDS.stop - 1]
    if not any(set(words_of(word)) & inside for word in chosen) or len(chosen) < _KEYWORDS.start:
        return ""
    text = " ".join(word for word in weights if word in chosen)
    return "" if text in sentence.lower() and len(chosen) > _KEYWORDS.start else text


def _is_unique(word: str, inside: set[str], terms: TermTable) -> bool:
    return word in inside and terms.frequency(word) <= 1
