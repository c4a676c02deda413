"""Exact search: the top k documents per query over a streamed corpus."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from probe.metrics.vectors import Embeddings, unit

__all__ = ["Picked", "Run", "TopK", "cosines", "tie_order"]

Run = dict[str, dict[str, float]]

# Document ids, as references to their strings.
_Ids = NDArray[np.object_]
# Maps the rows with ties to every column's rank among equal scores in them.
_RanksOf = Callable[[NDArray[np.int64]], NDArray[np.int64]]

_CHUNKS_HELD = 8


def tie_order(document_ids: Sequence[str]) -> NDArray[np.int64]:
    """Return every document's rank among equal scores `(N,)`: the greatest id first, as in TREC."""
    order = sorted(range(len(document_ids)), key=document_ids.__getitem__, reverse=True)
    ranks = np.empty(len(document_ids), np.int64)
    ranks[order] = np.arange(len(document_ids))
    return ranks


def cosines(queries: Embeddings, documents: Embeddings) -> Embeddings:
    """Return the cosines `(Q, C)` of unit query vectors `(Q, D)` and document vectors `(C, D)` of any length."""
    scores: Embeddings = (torch.from_numpy(queries) @ torch.from_numpy(unit(documents)).T).numpy()
    return scores


@dataclass(frozen=True)
class Picked:
    """The documents of a chunk that may be among the top k of a query.

    Attributes:
        columns: Their columns in the chunk `(Q, M)`, in any order; M is at most k.
        scores: Their scores, float32 `(Q, M)`.
        exact: Their scores for the final order, float32 `(Q, M)`, if it is another one.
    """

    columns: NDArray[np.int32]
    scores: Embeddings
    exact: Embeddings | None = None


class TopK:
    """The top k documents of every query, with ties broken as in TREC.

    Documents are added in chunks; only a few times `queries x k` scores and ids are kept in between. They may have a
    second, exact score: then the first chooses the k documents, and the exact one orders them.
    """

    def __init__(self, query_ids: Sequence[str], k: int, dropped: Collection[str] = ()) -> None:
        """Create a search.

        Args:
            query_ids: Ids of the Q queries.
            k: Number of documents to keep per query.
            dropped: Ids of queries for which the document with the same id is never returned.
        """
        self._query_ids = query_ids
        self._rows = {query: row for row, query in enumerate(query_ids) if query in dropped}
        self._k = k
        # The top k of each chunk, side by side; reduced to the overall top k when there are many.
        self._scores: list[Embeddings] = [np.empty((len(query_ids), 0), np.float32)]
        self._exact: list[Embeddings] = []
        self._names: list[_Ids] = [np.empty((len(query_ids), 0), object)]

    def add(self, ids: Sequence[str], scores: Embeddings | Tensor) -> None:
        """Add C documents, given their ids and their scores for every query, float32 `(Q, C)`."""
        self.take(ids, self.pick(ids, scores))

    def pick(self, ids: Sequence[str], scores: Embeddings | Tensor, exact: Embeddings | Tensor | None = None) -> Picked:
        """Return the documents of a chunk that may be among the top k, without adding them.

        Args:
            ids: Ids of its C documents.
            scores: Scores that choose, float32 `(Q, C)`; a tensor is searched on its device.
            exact: Scores that order, float32 `(Q, C)`; default: the same. The same in every chunk.
        """
        scores = torch.as_tensor(scores)
        if not self._rows.keys().isdisjoint(ids):
            own = [(self._rows[document], column) for column, document in enumerate(ids) if document in self._rows]
            scores = scores.clone()
            scores[tuple(map(list, zip(*own, strict=True)))] = -torch.inf
        columns = self._pick(scores, ids)
        chosen, picked = _gather(scores, columns), columns.to(torch.int32).cpu().numpy()
        if exact is None:
            return Picked(picked, chosen)
        ordering = np.where(chosen == -np.inf, chosen, _gather(torch.as_tensor(exact), columns))
        return Picked(picked, chosen, ordering)

    def take(self, ids: Sequence[str], picked: Picked) -> None:
        """Add picked documents, from this or another process; the order of the chunks does not matter."""
        self._scores.append(picked.scores)
        if picked.exact is not None:
            self._exact.append(picked.exact)
        self._names.append(np.array(ids, object)[picked.columns])
        if len(self._scores) > _CHUNKS_HELD:
            self._settle()

    def _pick(self, scores: Tensor, ids: Sequence[str]) -> Tensor:
        """Return the columns of a chunk `(Q, C)` that may be among the top k."""
        best = self._scores[0]
        if best.shape[1] == self._k:
            # As many as reach the worst of the current top k, in the row with the most.
            worst = torch.from_numpy(best.min(axis=1, keepdims=True)).to(scores.device)
            most = int((scores >= worst).sum(dim=1).max())
            if most < min(self._k, scores.shape[1]):
                return scores.topk(most, dim=1, sorted=False).indices
        return self._cut(scores, lambda tied: np.broadcast_to(tie_order(ids), (len(tied), len(ids))))

    def _settle(self) -> None:
        """Reduce the chunks so far to the overall top k."""
        scores, names = np.concatenate(self._scores, axis=1), np.concatenate(self._names, axis=1)
        cut = self._cut(torch.from_numpy(scores), lambda tied: np.stack([tie_order(list(row)) for row in names[tied]]))
        columns = cut.numpy()
        self._scores, self._names = [np.take_along_axis(scores, columns, 1)], [np.take_along_axis(names, columns, 1)]
        if self._exact:
            self._exact = [np.take_along_axis(np.concatenate(self._exact, axis=1), columns, 1)]

    def _cut(self, scores: Tensor, ranks_of: _RanksOf) -> Tensor:
        """Return the columns of the top k of every row `(Q, C)`, in any order.

        Args:
            scores: Scores `(Q, C)`.
            ranks_of: Returns the ranks among equal scores `(R, C)` of R rows; called for rows with ties only.
        """
        width = scores.shape[1]
        if width <= self._k:
            return torch.arange(width, device=scores.device).expand(scores.shape)
        top = scores.topk(self._k + 1, dim=1)
        columns = top.indices[:, : self._k].clone()
        # topk breaks ties arbitrarily: a row with a tie at its cutoff is sorted in full, on the host.
        tied = (top.values[:, self._k - 1] == top.values[:, self._k]).nonzero().flatten()
        if len(tied):
            order = np.lexsort((ranks_of(tied.cpu().numpy()), -scores[tied].cpu().numpy()), axis=-1)
            columns[tied] = torch.from_numpy(order[:, : self._k]).to(scores.device)
        return columns

    def run(self) -> Run:
        """Return the current ranking: float32 exact scores by query id and document id, best first."""
        self._settle()
        ordering = (self._exact or self._scores)[0]
        order = np.argsort(-ordering, axis=1, kind="stable")
        scores, names = np.take_along_axis(ordering, order, 1), np.take_along_axis(self._names[0], order, 1)
        tied = (scores[:, 1:] == scores[:, :-1]).any(axis=1)
        return {query: _name(names[row], scores[row], bool(tied[row])) for row, query in enumerate(self._query_ids)}


def _gather(scores: Tensor, columns: Tensor) -> Embeddings:
    """Return the scores in columns `(Q, M)`, on the host."""
    found: Embeddings = scores.gather(1, columns).cpu().numpy()
    return found


def _name(ids: _Ids, scores: Embeddings, tied: bool) -> dict[str, float]:
    """Return the scores by id, best first, without excluded documents."""
    pairs = [(score, name) for score, name in zip(scores.tolist(), ids, strict=True) if score != -np.inf]
    return {name: score for score, name in (sorted(pairs, reverse=True) if tied else pairs)}
