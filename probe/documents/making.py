"""Passages to corpus lines and queries."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from probe.documents.headings import take_headings
from probe.documents.intake import Intake, Progress
from probe.documents.known_items import take_sentence
from probe.documents.links import LinkTargets, resolve_links
from probe.documents.passages import Passage
from probe.documents.queries import Query, draw, drop_ambiguous
from probe.store.spool import Spool

__all__ = ["MadeQueries", "make_queries"]

# Passages that lend queries; more are drawn where there are fewer passages than this.
_LENDERS = 6000


@dataclass
class MadeQueries:
    """Queries that were made.

    Attributes:
        queries: The queries, no two with the same text.
        ambiguous: Number of queries dropped because another passage lends the same words.
    """

    queries: list[Query] = field(default_factory=list)
    ambiguous: int = 0


def make_queries(
    passages: Spool[list[Passage]], intake: Intake, out: Spool[Passage], *, seed: int, progress: Progress
) -> MadeQueries:
    """Take queries out of passages, and write the passages without them into a spool.

    Near duplicates lend no query: another passage answers it as well. Of a large collection, a sample lends queries.
    """
    share = _LENDERS / max(1, intake.passages)
    links = _collect_links(passages)
    queries: list[Query] = []
    targets: dict[tuple[str, str], list[Passage]] = defaultdict(list)
    number = 0
    for group in passages:
        progress("making queries", 1, len(passages))
        near = {passage.id for place, passage in enumerate(group, number) if place in intake.near_duplicates}
        number += len(group)
        made = _take(group, intake, near=near, share=share, seed=seed)
        queries += made.queries
        for passage in made.passages:
            out.add(passage)
            for place in {(passage.path, passage.anchor), (passage.path, "")}:
                if place in links.wanted and passage.id not in near:
                    targets[place].append(passage)
    queries += links.queries(targets, intake.terms)
    return MadeQueries(*drop_ambiguous(queries))


@dataclass(frozen=True)
class _Taken:
    passages: list[Passage]
    queries: list[Query]


def _take(group: Sequence[Passage], intake: Intake, *, near: set[str], share: float, seed: int) -> _Taken:
    lends = {one.id for one in group if one.id not in near and draw(f"lends\0{one.id}", seed) < share}
    queries = [query for passage in group if passage.id in lends for query in _questions(passage, group)]
    changed, headings = take_headings(group, intake.terms, lends)
    done: list[Passage] = []
    for passage in changed:
        rest, known = take_sentence(passage, intake.terms) if passage.id in lends else (passage, ())
        done.append(rest)
        queries += known
    return _Taken(done, [*queries, *headings])


def _questions(passage: Passage, group: Sequence[Passage]) -> Iterator[Query]:
    relevant = tuple(one.id for one in group if one.document == passage.document)
    for question in passage.questions:
        yield Query(question, "question", relevant, passage.document)


def _collect_links(passages: Spool[list[Passage]]) -> LinkTargets:
    links = LinkTargets()
    for group in passages:
        for passage in group:
            for link in resolve_links(passage):
                links.add(link)
    return links
