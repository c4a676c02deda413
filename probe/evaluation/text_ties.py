"""Ties of documents with equal texts: equal scores, regardless of their position in the corpus.

The same text may get vectors that differ in their last bits, because its batch and chunk differ. Such differences would
decide the order of otherwise identical documents.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np

from probe.data.texts import EqualTexts
from probe.metrics.top_k import Run

__all__ = ["TextTies"]


class _Groups(NamedTuple):
    """Documents with equal texts: the group of every id, and the ids of every group, the greatest first."""

    group_of: dict[str, int]
    ids: list[list[str]]


class TextTies:
    """Gives documents with equal texts the score of the one that was found first."""

    def __init__(self, equal: EqualTexts, dropped: Collection[str] = ()) -> None:
        """Create a tie rule.

        Args:
            equal: Groups of documents with equal texts, by position in the corpus.
            dropped: Ids of queries for which the document with the same id is never returned.
        """
        self._equal = equal
        self._dropped = dropped
        self._ids: list[str | None] = [None] * len(equal.positions)
        self._groups: _Groups | None = None

    def take(self, start: int, ids: Sequence[str]) -> None:
        """Add the ids of a chunk, given the position of its first document; the order of chunks does not matter."""
        low, high = np.searchsorted(self._equal.positions, [start, start + len(ids)])
        for row in range(low, high):
            self._ids[row] = ids[self._equal.positions[row] - start]
            self._groups = None

    def settle(self, run: Run, k: int) -> Run:
        """Return a run in which documents with equal texts have equal scores.

        Args:
            run: Documents found, best first, for every query; not modified.
            k: Number of documents to keep for queries with ties of equal texts.

        Returns:
            The run; documents that were cut off although another one with their text was found are added before the cut
            to k by TREC's tie order.
        """
        groups = self._group_ids()
        if not groups.group_of:
            return run
        return {
            query: found if groups.group_of.keys().isdisjoint(found) else self._settle(query, found, groups, k=k)
            for query, found in run.items()
        }

    def _settle(self, query: str, found: dict[str, float], groups: _Groups, *, k: int) -> dict[str, float]:
        best: dict[int, float] = {}
        settled = dict(found)
        for name, score in found.items():
            group = groups.group_of.get(name)
            if group is not None:
                settled[name] = best.setdefault(group, score)
        for group, score in best.items():
            # One more than is kept, as the query itself may be among them.
            settled |= dict.fromkeys(groups.ids[group][: k + 1], score)
        if query in self._dropped:
            settled.pop(query, None)
        ranked = sorted(settled.items(), key=lambda item: (item[1], item[0]), reverse=True)
        return dict(ranked[:k])

    def _group_ids(self) -> _Groups:
        if self._groups is None:
            found: dict[int, list[str]] = {}
            for name, group in zip(self._ids, self._equal.groups.tolist(), strict=True):
                if name is not None:
                    found.setdefault(group, []).append(name)
            ids = [sorted(names, reverse=True) for names in found.values()]
            self._groups = _Groups({name: number for number, names in enumerate(ids) for name in names}, ids)
        return self._groups
