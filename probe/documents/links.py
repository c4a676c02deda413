"""Link texts that name a passage of another place, as queries."""

import posixpath
from collections import defaultdict
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from probe.documents.passages import Passage
from probe.documents.queries import Query, is_readable
from probe.documents.terms import TermTable, plain_heading

__all__ = ["LinkTargets", "ResolvedLink", "resolve_links"]

_WORDS = range(2, 13)
_MOST_PASSAGES = 3
# A text that leads to more places names none of them.
_MOST_TARGETS = 1


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
        if is_readable(link.text, _WORDS) and (target, anchor) != (passage.path, passage.anchor):
            yield ResolvedLink(link.text, target, unquote(anchor))


@dataclass
class LinkTargets:
    """Link texts by the passages they lead to."""

    _texts: dict[tuple[str, str], dict[str, None]] = field(default_factory=lambda: defaultdict(dict))
    _targets: dict[str, set[tuple[str, str]]] = field(default_factory=lambda: defaultdict(set))

    def add(self, link: ResolvedLink) -> None:
        """Add a link."""
        place = (link.path, link.anchor)
        self._texts[place][link.text] = None
        self._targets[plain_heading(link.text)].add(place)

    @property
    def wanted(self) -> Container[tuple[str, str]]:
        """Files and anchors that links lead to."""
        return self._texts

    def queries(self, passages: Mapping[tuple[str, str], list[Passage]], terms: TermTable) -> Iterable[Query]:
        """Yield a query per text that leads to one place, of at most three passages.

        Args:
            passages: Passages by file and anchor; with an empty anchor, all of the file.
            terms: Frequencies of words.
        """
        for place, texts in self._texts.items():
            found = passages.get(place, [])
            if not found or len(found) > _MOST_PASSAGES:
                continue
            for text in texts:
                if len(self._targets[plain_heading(text)]) <= _MOST_TARGETS and not _is_heading(text, found):
                    yield Query(text, "link", tuple(one.id for one in found), found[0].document)


def _is_heading(text: str, passages: Iterable[Passage]) -> bool:
    plain = plain_heading(text)
    return any(plain == plain_heading(heading) for passage in passages for heading in passage.headings)
