"""Queries divided into train, dev and test by document."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from probe.documents.queries import KINDS, Query, QueryKind, draw

__all__ = ["SHARES", "Splits", "split_queries"]

# Share of the documents per split.
SHARES = (("train", 0.4), ("dev", 0.2), ("test", 0.4))
# With fewer queries, all are in test.
FEWEST = 100
# Most queries per split and kind.
MOST = {"train": 2000, "dev": 500, "test": 1000}


@dataclass(frozen=True)
class Splits:
    """Queries per split.

    Attributes:
        queries: Queries by split; `test-heading` and the like hold one kind each.
        divided: Whether there were enough queries for three splits.
    """

    queries: dict[str, tuple[Query, ...]]
    divided: bool


def split_queries(queries: Sequence[Query], default: Iterable[QueryKind], seed: int) -> Splits:
    """Divide queries by their document; more documents do not move a query to another split.

    Args:
        queries: Queries with distinct texts.
        default: Kinds in `train`, `dev` and `test`; if there are none of these kinds, all kinds are.
        seed: Seed of the division and of the sample where there are too many queries.
    """
    kinds = set(default) if any(query.kind in set(default) for query in queries) else set(KINDS)
    counted = sum(query.kind in kinds for query in queries)
    divided = counted >= FEWEST
    parts: dict[str, list[Query]] = {name: [] for name, _ in (SHARES if divided else (("test", 1.0),))}
    for query in queries:
        parts[split_of(query.document, seed) if divided else "test"].append(query)
    found: dict[str, tuple[Query, ...]] = {}
    for name, part in parts.items():
        by_kind = {kind: _sample([query for query in part if query.kind == kind], MOST[name], seed) for kind in KINDS}
        found[name] = tuple(query for kind in KINDS if kind in kinds for query in by_kind[kind])
        if name == "test":
            found.update({f"test-{kind}": some for kind, some in by_kind.items() if some})
    return Splits({name: part for name, part in found.items() if part}, divided)


def split_of(document: str, seed: int) -> str:
    """Return the split of a document."""
    number = draw(f"split\0{document}", seed)
    for name, share in SHARES:
        if number < share:
            return name
        number -= share
    return SHARES[-1][0]


def _sample(queries: Sequence[Query], most: int, seed: int) -> tuple[Query, ...]:
    order = sorted(queries, key=lambda query: draw(f"query\0{query.text}", seed))
    return tuple(sorted(order[:most], key=lambda query: query.relevant))
