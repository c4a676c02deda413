"""Headings that name a passage, as queries."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from probe.documents.passages import Passage
from probe.documents.queries import Query, is_readable
from probe.documents.sentences import is_unspaced, words_of
from probe.documents.terms import TermTable
from probe.formats.registry import find_format

__all__ = ["heading_phrases", "strip_numbering", "take_headings"]

_WORDS = range(1, 15)
# English: names of the parts of a book.
_NUMBERING = re.compile(
    r"^(?:(?:chapter|section|appendix|step|part)\s+(?:\d+(?:\.\d+)*|[IVX]+|[A-Z])\b[.):]?\s*|"
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


def heading_phrases(passages: Sequence[Passage]) -> set[str]:
    """Return the headings of a document, alone and with one above them, as `TermTable.add_phrases` counts them."""
    found: set[str] = set()
    for headings in {passage.headings for passage in passages}:
        found.update(strip_numbering(heading) for heading in headings)
        found.update(_with_context(headings))
    return found


def strip_numbering(heading: str) -> str:
    """Return a heading without its number and the marks around it."""
    return _NUMBERING.sub("", heading.strip(_MARKS), count=1).strip(_MARKS)


def take_headings(passages: Sequence[Passage], terms: TermTable) -> tuple[list[Passage], list[Query]]:
    """Make queries of the headings of a document's sections; a heading leaves the titles of the section it names.

    Source code has none: its headings are names of functions and files.

    Args:
        passages: The passages of one document.
        terms: Frequencies of words and headings.
    """
    inner = {passage.headings[:-1] for passage in passages}
    sections = Counter(passage.headings for passage in passages if not _is_code(passage))
    queries: dict[tuple[str, ...], Query] = {}
    for headings, count in sections.items():
        text = _as_query(headings, terms) if headings and headings not in inner and count <= _MOST_PASSAGES else ""
        named = [passage for passage in passages if passage.headings == headings]
        if text and sum(len(words_of(one.text)) for one in named) >= _FEWEST_TEXT_WORDS:
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
    if documents > _MOST_DOCUMENTS or not is_readable(leaf, _WORDS) or not _content(leaf, terms):
        return ""
    if documents <= 1 and _names(leaf, terms):
        return leaf
    usable = (text for text in _with_context(headings) if is_readable(text, _WORDS))
    return next((text for text in usable if terms.phrase_frequency(text) <= 1 and _names(text, terms)), "")


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
    content = _content(text, terms)
    if len(content) >= _FEWEST_CONTENT_WORDS:
        return True
    return not is_unspaced(text) and any(terms.weight(word) >= _RARE and len(word) > 3 for word in content)


def _content(text: str, terms: TermTable) -> set[str]:
    return terms.telling_words(text)
