"""Headings that name a passage, as queries."""

import re
from collections import Counter
from collections.abc import Container, Sequence
from dataclasses import replace

from probe.documents.passages import Passage
from probe.documents.queries import Query, is_readable
from probe.documents.terms import TermTable, plain_heading
from probe.formats.sentences import words_of

__all__ = ["take_headings"]

_WORDS = range(1, 15)
_NUMBERING = re.compile(
    r"^(?:(?:chapter|section|appendix|step|part)\s+)?(?:[A-Z]?\d+(?:\.\d+)*|[IVX]+)[.):]?\s+", re.IGNORECASE
)
# A section split into more passages is too broad for one query.
_MOST_PASSAGES = 3
_FEWEST_CONTENT_WORDS = 2
# A heading in more documents is a form of writing, such as "Examples".
_MOST_DOCUMENTS = 3
_FEWEST_TEXT_WORDS = 12


def take_headings(
    passages: Sequence[Passage], terms: TermTable, lenders: Container[str]
) -> tuple[list[Passage], list[Query]]:
    """Make queries of the headings of a document's sections; a heading leaves the titles of the section it names.

    Args:
        passages: The passages of one document.
        terms: Frequencies of words and headings.
        lenders: Ids of the passages that may lend queries; a section does if all its passages may.
    """
    inner = {heading for passage in passages for heading in passage.headings[:-1]}
    sections = Counter(passage.headings for passage in passages)
    queries: dict[tuple[str, ...], Query] = {}
    for headings, count in sections.items():
        text = _as_query(headings, terms) if headings and headings[-1] not in inner and count <= _MOST_PASSAGES else ""
        named = [passage for passage in passages if passage.headings == headings]
        words = sum(len(words_of(one.text)) for one in named)
        if text and words >= _FEWEST_TEXT_WORDS and all(one.id in lenders for one in named):
            queries[headings] = Query(text, "heading", tuple(one.id for one in named), named[0].document)
    changed = [
        replace(passage, headings=passage.headings[:-1]) if passage.headings in queries else passage
        for passage in passages
    ]
    return changed, list(queries.values())


def _as_query(headings: tuple[str, ...], terms: TermTable) -> str:
    """Return the query of a heading, with the one above it if several documents have it; empty if it names nothing."""
    leaf = _NUMBERING.sub("", headings[-1]).strip(" .:")
    documents = terms.phrase_frequency(headings[-1])
    if documents > _MOST_DOCUMENTS or not is_readable(leaf, _WORDS):
        return ""
    if documents > 1 or len(_content(leaf, terms)) < _FEWEST_CONTENT_WORDS:
        if len(headings) < 2 or not _content(leaf, terms):
            return ""
        leaf = f"{_NUMBERING.sub('', headings[-2]).strip(' .:')} {leaf}"
    return leaf if is_readable(leaf, _WORDS) and len(_content(leaf, terms)) >= _FEWEST_CONTENT_WORDS else ""


def _content(text: str, terms: TermTable) -> set[str]:
    return {
        word
        for word in words_of(plain_heading(text))
        if (terms.weight(word) >= 0.3 and len(word) > 1) or not word.isascii()
    }
