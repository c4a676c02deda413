"""Passages to corpus lines and queries."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from probe.documents.generated import QueryGenerator, generate_queries
from probe.documents.headings import take_headings
from probe.documents.intake import Intake, Progress
from probe.documents.known_items import take_sentence
from probe.documents.links import LinkTargets, resolve_links
from probe.documents.passages import Passage
from probe.documents.queries import Query, QueryKind, draw, drop_ambiguous
from probe.documents.query_log import OwnQueries, QueryRow, match_queries
from probe.store.spool import Spool

__all__ = ["MadeQueries", "Making", "make_queries"]

# Passages that lend queries; more are drawn where there are fewer passages than this.
_LENDERS = 6000
# Queries that a model writes; each costs a forward pass per token.
MOST_GENERATED = 1000


@dataclass
class MadeQueries:
    """Queries that were made.

    Attributes:
        queries: The queries, no two with the same text.
        ambiguous: Number of queries dropped because another passage lends the same words.
        own: The user's own queries.
        unusable: Number of generated texts that do not read like a query.
    """

    queries: list[Query]
    ambiguous: int
    own: OwnQueries
    unusable: int = 0


@dataclass(frozen=True)
class Making:
    """Which queries are made.

    Attributes:
        kinds: Kinds to make.
        log: Rows of a file with queries.
        generator: Model that writes queries, if any.
        seed: Seed of the passages that lend queries, where there are too many.
    """

    kinds: frozenset[QueryKind]
    log: Sequence[QueryRow] = ()
    generator: QueryGenerator | None = None
    seed: int = 0


def make_queries(
    passages: Spool[list[Passage]], intake: Intake, out: Spool[Passage], *, making: Making, progress: Progress
) -> MadeQueries:
    """Take queries out of passages, and write the passages without them into a spool.

    Near duplicates lend no query: another passage answers it as well. Of a large collection, a sample lends queries.
    """
    share = _LENDERS / max(1, intake.passages)
    links = _collect_links(passages) if "link" in making.kinds else LinkTargets()
    queries: list[Query] = []
    targets: dict[tuple[str, str], list[Passage]] = defaultdict(list)
    number = 0
    for group in passages:
        progress("making queries", 1, len(passages))
        near = {passage.id for place, passage in enumerate(group, number) if place in intake.near_duplicates}
        number += len(group)
        made = _take(group, intake, near=near, share=share, making=making)
        queries += made.queries
        for passage in made.passages:
            out.add(passage)
            for place in {(passage.path, passage.anchor), (passage.path, "")}:
                if place in links.wanted and passage.id not in near:
                    targets[place].append(replace(passage, blocks=(), links=()))
    queries += links.queries(targets, intake.terms)
    written = _write_queries(out, making, progress) if making.generator else []
    own = match_queries(making.log, out)
    kept, ambiguous = drop_ambiguous([*own.judged, *queries, *filter(None, written)])
    return MadeQueries(kept, ambiguous, own, written.count(None))


def _write_queries(passages: Spool[Passage], making: Making, progress: Progress) -> list[Query | None]:
    """Let the generator write a query for each passage of a sample."""
    if making.generator is None:
        return []
    share = MOST_GENERATED / max(1, len(passages))
    chosen = [one for one in passages if draw(f"generate\0{one.id}", making.seed) < share]
    made = []
    for query in generate_queries(making.generator, chosen):
        progress("generating queries", 1, len(chosen))
        made.append(query)
    return made


@dataclass(frozen=True)
class _Taken:
    passages: list[Passage]
    queries: list[Query]


def _take(group: Sequence[Passage], intake: Intake, *, near: set[str], share: float, making: Making) -> _Taken:
    lends = {one.id for one in group if one.id not in near and draw(f"lends\0{one.id}", making.seed) < share}
    queries: list[Query] = []
    if "question" in making.kinds:
        queries += [query for passage in group if passage.id in lends for query in _questions(passage, group)]
    changed = list(group)
    if "heading" in making.kinds:
        changed, headings = take_headings(group, intake.terms, lends)
        queries += headings
    if not making.kinds & {"sentence", "keywords"}:
        return _Taken(changed, queries)
    done: list[Passage] = []
    for passage in changed:
        rest, known = take_sentence(passage, intake.terms) if passage.id in lends else (passage, ())
        done.append(rest)
        queries += [query for query in known if query.kind in making.kinds]
    return _Taken(done, queries)


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
