"""Headings that name a passage, as queries."""

import re
from collections import Counter, defaultdict
from collections.abc import Container, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from probe.documents.passages import Passage
from probe.documents.queries import Query, is_readable
from probe.documents.terms import TermTable
from probe.formats.registry import find_format
from probe.formats.sentences import is_unspaced, words_of

__all__ = ["heading_phrases", "strip_numbering", "take_headings"]

_WORDS = range(1, 15)
# English: names of the parts of a book.
_NUMBERING = re.compile(
    r"^(?:(?i:chapter|section|appendix|step|part)\s+(?:\d+(?:\.\d+)*|[IVX]+|[A-Z])\b[.):]?\s*|"
    r"(?:[A-Z]?\d+(?:\.\d+)*[.):]?|[IVXivx]+[.)]|[A-Za-z]\))\s+)"
)
_MARKS = " .:·¶§–—-"
# A section split into more passages is too broad for one query.
_MOST_PASSAGES = 3
_FEWEST_CONTENT_WORDS = 2
# A heading in more documents is a form of writing, such as "Examples".
_MOST_DOCUMENTS = 3
_FEWEST_TEXT_WORDS = 12
# A single word as rare as this names a passage.
_RARE = 0.75


def heading_phrases(headings: tuple[str, ...]) -> list[str]:
    """Return the last heading of a section, alone and with one above it, as `TermTable.add_phrases` counts them."""
    return [strip_numbering(headings[-1]), *_with_context(headings)] if headings else []


def strip_numbering(heading: str) -> str:
    """Return a heading without its number and the marks around it."""
    return _NUMBERING.sub("", heading.strip(_MARKS), count=1).strip(_MARKS)


def take_headings(
    passages: Sequence[Passage], terms: TermTable, lenders: Container[str]
) -> tuple[list[Passage], list[Query]]:
    """Make queries of the headings of a document's sections; a heading leaves the titles of the section it names.

    Source code has none: its headings are names of functions and files.

    Args:
        passages: The passages of one document.
        terms: Frequencies of words and headings.
        lenders: Ids of the passages that may lend queries; a section does if all its passages may.
    """
    inner = {passage.headings[:-1] for passage in passages}
    sections: dict[tuple[str, ...], list[Passage]] = defaultdict(list)
    for passage in passages:
        sections[passage.headings].append(passage)
    queries: dict[tuple[str, ...], Query] = {}
    for headings, named in sections.items():
        if headings in inner or not headings or len(named) > _MOST_PASSAGES or _is_code(named[0]):
            continue
        words = sum(len(words_of(one.text)) for one in named)
        text = _as_query(headings, terms)
        if text and words >= _FEWEST_TEXT_WORDS and all(one.id in lenders for one in named):
            queries[headings] = Query(text, "heading", tuple(one.id for one in named), named[0].document)
    once = Counter(query.text.casefold() for query in queries.values())
    queries = {headings: query for headings, query in queries.items() if once[query.text.casefold()] == 1}
    changed = [
        replace(passage, headings=passage.headings[:-1]) if passage.headings in queries else passage
        for passage in passages
    ]
    return changed, list(queries.values())


def _is_code(passage: Passage) -> bool:
    found = find_format(Path(passage.path))
    return found is not None and found.name == "source code"


def _as_query(headings: tuple[str, ...], terms: TermTable) -> str:
    """Return the query of a heading, with one above it if several documents have it; empty if it names nothing."""
    leaf = strip_numbering(headings[-1])
    documents = terms.phrase_frequency(leaf)
    if documents > _MOST_DOCUMENTS or not is_readable(leaf, _WORDS) or not terms.telling_words(leaf):
        return ""
    if documents <= 1 and _names(leaf, terms):
        return leaf
    usable = (text for text in _with_context(headings) if is_readable(text, _WORDS))
    alone = leaf if documents <= 1 and _is_rare_word(leaf, terms) else ""
    return next((text for text in usable if terms.phrase_frequency(text) <= 1 and _names(text, terms)), alone)


def _with_context(headings: tuple[str, ...]) -> Iterator[str]:
    """Yield the last heading with the one above it, and with the outermost, as "Installation Linux"."""
    if len(headings) < 2:
        return
    leaf = strip_numbering(headings[-1])
    for above in dict.fromkeys((headings[-2], headings[0])):
        context = strip_numbering(above)
        if not set(words_of(leaf)) <= set(words_of(context)):
            yield f"{context} {leaf}"


def _names(text: str, terms: TermTable) -> bool:
    return len(terms.telling_words(text)) >= _FEWEST_CONTENT_WORDS


def _is_rare_word(text: str, terms: TermTable) -> bool:
    return len(words_of(text)) == 1 and not is_unspaced(text) and len(text) > 3 and terms.weight(text.lower()) >= _RARE
