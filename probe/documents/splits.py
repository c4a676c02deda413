"""Queries divided into train, dev and test by document."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from probe.documents.queries import KINDS, Query, QueryKind, draw

__all__ = ["FEWEST", "SHARES", "Splits", "split_queries"]

# Share of the documents per split.
SHARES = (("train", 0.4), ("dev", 0.2), ("test", 0.4))
# With fewer queries of the default kinds, all are in test.
FEWEST = 50
# From fewer documents, the passages are divided instead.
_FEWEST_DOCUMENTS = 10
# A document with more of the queries is divided by passage, or one changelog would fill a split.
_LARGE_SHARE, _LARGE_DOCUMENT = 0.05, 20
# Most queries per split and kind; own queries all count.
MOST = {"train": 2000, "dev": 500, "test": 1000}


@dataclass(frozen=True)
class Splits:
    """Queries per split.

    Attributes:
        queries: Queries by split; `test-heading` and the like hold one kind each.
        divided: Whether there were enough queries for three splits.
        by: Whether documents or passages were divided.
    """

    queries: dict[str, tuple[Query, ...]]
    divided: bool
    by: str = "document"


def split_queries(
    queries: Sequence[Query], default: Iterable[QueryKind], seed: int, *, groups: Mapping[str, str] | None = None
) -> Splits:
    """Divide queries by their document; more documents do not move a query to another split.

    Args:
        queries: Queries with distinct texts.
        default: Kinds in `train`, `dev` and `test`; if there are none of these kinds, all kinds are.
        seed: Seed of the division and of the sample where there are too many queries.
        groups: Name of a group by document, for documents that must not be separated, such as near duplicates;
            the other documents are groups of their own.
    """
    kinds = set(default) if any(query.kind in set(default) for query in queries) else set(KINDS)
    counted = [query for query in queries if query.kind in kinds]
    names = dict(groups or {})
    sizes = Counter(names.get(query.document, query.document) for query in counted)
    few = len(sizes) < _FEWEST_DOCUMENTS
    large = max(_LARGE_DOCUMENT, _LARGE_SHARE * len(counted))
    groups_of = [names.get(query.document, query.document) for query in queries]
    units = [
        query.relevant[0] if few or sizes[group] > large else group
        for query, group in zip(queries, groups_of, strict=True)
    ]
    parts = _divide(queries, units, seed)
    divided = len(counted) >= FEWEST and all(any(query.kind in kinds for query in part) for part in parts.values())
    if not divided:
        parts = {"test": list(queries)}
    found = _collect(parts, kinds, seed)
    return Splits(found, divided, "passage" if few and divided else "document")


def _divide(queries: Sequence[Query], units: Sequence[str], seed: int) -> dict[str, list[Query]]:
    parts: dict[str, list[Query]] = {name: [] for name, _ in SHARES}
    for query, unit in zip(queries, units, strict=True):
        parts[split_of(unit, seed)].append(query)
    return parts


def _collect(parts: Mapping[str, Sequence[Query]], kinds: set[QueryKind], seed: int) -> dict[str, tuple[Query, ...]]:
    """Return a sample of each split, and of each kind in test."""
    found: dict[str, tuple[Query, ...]] = {}
    for name, part in parts.items():
        by_kind = {kind: _sample([query for query in part if query.kind == kind], MOST[name], seed) for kind in KINDS}
        found[name] = tuple(query for kind in KINDS if kind in kinds for query in by_kind[kind])
        if name == "test":
            found.update({f"test-{kind}": some for kind, some in by_kind.items() if some})
    return {name: part for name, part in found.items() if part}


def split_of(document: str, seed: int) -> str:
    """Return the split of a document."""
    number = draw(f"split\0{document}", seed)
    for name, share in SHARES:
        if number < share:
            return name
        number -= share
    return SHARES[-1][0]


def _sample(queries: Sequence[Query], most: int, seed: int) -> tuple[Query, ...]:
    """Return the queries with the smallest draws, so that more queries replace few of them; all own queries."""
    if queries and queries[0].kind == "own":
        most = len(queries)
    order = sorted(queries, key=lambda query: draw(f"query\0{query.text}", seed))
    return tuple(sorted(order[:most], key=lambda query: query.relevant))
