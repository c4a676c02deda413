"""Exact search: the top k documents per query, kept while the corpus streams by."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from probe.encoder import Embeddings

__all__ = ["Run", "TopK", "tie_order", "unit"]

Run = dict[str, dict[str, float]]


def unit(vectors: Embeddings) -> Embeddings:
    """Return vectors `(N, D)` scaled to length 1 in float32; a zero vector stays zero."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: Embeddings = np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0)
    return scaled


def tie_order(document_ids: Sequence[str]) -> NDArray[np.int64]:
    """Return every document's place among equal scores: TREC puts the greatest id first.

    Args:
        document_ids: N ids.

    Returns:
        `(N,)` places, 0 for the greatest id.
    """
    order = sorted(range(len(document_ids)), key=document_ids.__getitem__, reverse=True)
    places = np.empty(len(document_ids), np.int64)
    places[order] = np.arange(len(document_ids))
    return places


class TopK:
    """The best k documents of every query, by cosine, ties broken as TREC does.

    Documents come in chunks; only `queries x k` scores are kept between them.
    """

    def __init__(self, queries: Embeddings, query_ids: Sequence[str], document_ids: Sequence[str], k: int) -> None:
        """Prepare a search.

        Args:
            queries: Query vectors `(Q, D)`, of any length.
            query_ids: Their Q ids; a document with the query's own id is never returned.
            document_ids: All N ids, in the order in which the documents will come.
            k: Documents to keep per query.
        """
        self._queries = torch.from_numpy(unit(queries))
        self._query_ids = query_ids
        self._document_ids = document_ids
        self._k = k
        self._places = tie_order(document_ids)
        own = {document: i for i, document in enumerate(document_ids)}
        self._own = np.array([own.get(query, -1) for query in query_ids], np.int64)
        self._scores = np.empty((len(query_ids), 0), np.float32)
        self._kept = np.empty((len(query_ids), 0), np.int64)
        self._seen = 0

    def add(self, documents: Embeddings) -> None:
        """Take in the next chunk of documents `(C, D)`, of any length."""
        scores = (self._queries @ torch.from_numpy(unit(documents)).T).numpy()
        indices = np.arange(self._seen, self._seen + len(documents))
        self._drop_own(scores, indices)
        self._seen += len(documents)
        best = self._select(scores, np.broadcast_to(indices, scores.shape))
        scores = np.concatenate([self._scores, best[0]], axis=1)
        kept = np.concatenate([self._kept, best[1]], axis=1)
        self._scores, self._kept = self._select(scores, kept)

    def _drop_own(self, scores: Embeddings, indices: NDArray[np.int64]) -> None:
        if not len(indices):
            return
        for row in np.flatnonzero((self._own >= indices[0]) & (self._own <= indices[-1])):
            scores[row, self._own[row] - indices[0]] = -np.inf

    def _select(self, scores: Embeddings, indices: NDArray[np.int64]) -> tuple[Embeddings, NDArray[np.int64]]:
        """Return the first k of every row, best first; the cut itself keeps the tie order."""
        width = scores.shape[1]
        if width > self._k:
            scores, indices = self._cut(scores, indices)
        order = np.lexsort((self._places[indices], -scores), axis=-1)
        return np.take_along_axis(scores, order, 1), np.take_along_axis(indices, order, 1)

    def _cut(self, scores: Embeddings, indices: NDArray[np.int64]) -> tuple[Embeddings, NDArray[np.int64]]:
        top = torch.from_numpy(np.ascontiguousarray(scores)).topk(self._k + 1, dim=1)
        columns = top.indices[:, : self._k].numpy().copy()
        # topk breaks ties as it likes: a row tied across its cut is sorted in full.
        tied = np.flatnonzero((top.values[:, self._k - 1] == top.values[:, self._k]).numpy())
        if len(tied):
            places = self._places[np.ascontiguousarray(indices[tied])]
            columns[tied] = np.lexsort((places, -scores[tied]), axis=-1)[:, : self._k]
        return np.take_along_axis(scores, columns, 1), np.take_along_axis(indices, columns, 1)

    def run(self) -> Run:
        """Return the ranking so far: float32 scores per query id and document id, best first."""
        return {
            query: {
                self._document_ids[i]: float(score)
                for i, score in zip(self._kept[row], self._scores[row], strict=True)
                if score != -np.inf
            }
            for row, query in enumerate(self._query_ids)
        }
