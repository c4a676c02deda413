"""Link texts that name a passage of another place, as queries."""

import posixpath
from collections import defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote

from probe.documents.headings import strip_numbering
from probe.documents.passages import Passage
from probe.documents.queries import Query, is_readable
from probe.documents.terms import TermTable, plain_heading

__all__ = ["LinkTargets", "ResolvedLink", "resolve_links"]

_WORDS = range(2, 13)
_MOST_PASSAGES = 3
# A text that leads to more places names none of them.
_MOST_TARGETS = 1
_FEWEST_CONTENT_WORDS = 2
# Targets without a suffix, as sites write them.
_INDEXES = ("index.html", "index.md", "index.rst", "README.md")
_SUFFIXES = (".md", ".html", ".rst", ".html.gz")


@dataclass(frozen=True)
class ResolvedLink:
    """A link with the file and the anchor it leads to."""

    text: str
    path: str
    anchor: str


def resolve_links(passage: Passage) -> Iterable[ResolvedLink]:
    """Yield the links of a passage's document that could be queries, with their targets."""
    for link in passage.links:
        path, _, anchor = link.target.partition("#")
        path = unquote(path.partition("?")[0])
        target = posixpath.normpath(posixpath.join(posixpath.dirname(passage.path), path)) if path else passage.path
        text = strip_numbering(" ".join(link.text.split()))
        if is_readable(text, _WORDS) and (target, anchor) != (passage.path, passage.anchor):
            yield ResolvedLink(text, target, unquote(anchor))


@dataclass
class LinkTargets:
    """Link texts by the passages they lead to."""

    _texts: dict[tuple[str, str], dict[str, None]] = field(default_factory=lambda: defaultdict(dict))
    _targets: dict[str, set[tuple[str, str]]] = field(default_factory=lambda: defaultdict(set))
    _wanted: set[tuple[str, str]] = field(default_factory=set)

    @property
    def wanted(self) -> Container[tuple[str, str]]:
        """Files and anchors that links lead to."""
        return self._wanted

    def add(self, link: ResolvedLink) -> None:
        """Add a link."""
        place = (link.path, link.anchor)
        self._texts[place][link.text] = None
        self._wanted.update(_places(place))
        self._targets[plain_heading(link.text)].add(place)

    def queries(self, passages: Mapping[tuple[str, str], list[Passage]], terms: TermTable) -> Iterable[Query]:
        """Yield a query per text that leads to one place, of at most three passages.

        Args:
            passages: Passages by file and anchor; with an empty anchor, all of the file.
            terms: Frequencies of words and headings.
        """
        for place, texts in self._texts.items():
            found = _find(place, passages)
            if not found or len(found) > _MOST_PASSAGES:
                continue
            for text in texts:
                if len(self._targets[plain_heading(text)]) <= _MOST_TARGETS and _is_query(text, found, terms):
                    yield Query(text, "link", tuple(one.id for one in found), found[0].document)


def _find(place: tuple[str, str], passages: Mapping[tuple[str, str], list[Passage]]) -> Sequence[Passage]:
    return next((found for one in _places(place) if (found := passages.get(one))), ())


def _places(place: tuple[str, str]) -> Iterable[tuple[str, str]]:
    """Yield the place as it is written, and those that sites mean by it."""
    path, anchor = place
    yield place
    yield from ((posixpath.join(path, name), anchor) for name in _INDEXES)
    yield from ((f"{path}{suffix}", anchor) for suffix in _SUFFIXES)


def _is_query(text: str, passages: Sequence[Passage], terms: TermTable) -> bool:
    """Return whether a text says enough, and is no heading: those are queries of their own."""
    if len(terms.telling_words(text)) < _FEWEST_CONTENT_WORDS or terms.phrase_frequency(text):
        return False
    plain = plain_heading(text)
    if any(plain == plain_heading(strip_numbering(heading)) for one in passages for heading in one.headings):
        return False
    # Short sections are joined with others; their headings then stand before the text.
    return not any(f"{text}:" in block.text for one in passages for block in one.blocks)
