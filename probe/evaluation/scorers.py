"""Scores of documents while the corpus streams by: similarities of vectors, or the scores of late interaction."""

from functools import cached_property

import numpy as np

from probe.errors import CallError, ModelError
from probe.metrics.geometry import SAMPLE, is_collapsed
from probe.metrics.similarity import COSINE, compare
from probe.metrics.vectors import Embeddings

__all__ = ["MaxSimScorer", "VectorScorer", "refuse_infinite"]

# Scores that differ by less, relative to the largest, differ by rounding.
_ROUNDING = 1e-6


class _Sample:
    """The corpus's first documents, which tell whether all are alike; the order of the chunks is no matter."""

    def __init__(self, dim: int) -> None:
        """Begin with no document."""
        self.dim = dim
        self._rows: dict[int, Embeddings] = {}

    def keep_sample(self, start: int, documents: Embeddings) -> None:
        """Keep those of the documents, from number `start` on, that are among the corpus's first."""
        if start < SAMPLE:
            self._rows[start] = documents[: SAMPLE - start].copy()

    def _sample(self) -> Embeddings:
        return np.concatenate([rows for _, rows in sorted(self._rows.items())])


class VectorScorer(_Sample):
    """The similarities of one encoder's vectors."""

    def __init__(self, queries: Embeddings, name: str, similarity: str = COSINE) -> None:
        """Compare with query vectors.

        Args:
            queries: `(Q, D)`.
            name: What the encoder is called.
            similarity: One of `probe.metrics.similarity.SIMILARITIES`.

        Raises:
            ModelError: A vector is not finite.
        """
        super().__init__(int(queries.shape[1]))
        refuse_infinite(queries, name)
        self._queries = queries
        self._name = name
        self._similarity = similarity

    def compare(self, documents: Embeddings) -> Embeddings:
        """Return how alike the queries and C documents `(C, D)` are, `(Q, C)`.

        Raises:
            CallError: They have another dimension than the queries.
            ModelError: A vector, or what comes of comparing it, is not finite.
        """
        if documents.shape[1] != self.dim:
            raise CallError(
                f"queries of {self.dim} dimensions cannot search documents of {documents.shape[1]}: both encoders have "
                "to map into one space"
            )
        refuse_infinite(documents, self._name)
        scores = compare(self._similarity, self._queries, documents)
        refuse_infinite(scores, self._name)
        return scores

    @cached_property
    def collapsed(self) -> bool:
        """Whether all documents have one vector; asked for when all were seen."""
        return is_collapsed(self._sample())


class MaxSimScorer(_Sample):
    """The scores of one encoder of tokens: documents come with them. Its dimension is that of a token's state."""

    def compare(self, documents: Embeddings) -> Embeddings:
        """Return the scores `(Q, C)` of C documents, given as `(C, Q)`."""
        return np.ascontiguousarray(documents.T)

    @cached_property
    def collapsed(self) -> bool:
        """Whether all documents have the same score, for every query; asked for when all were seen."""
        sample = self._sample()
        return len(sample) > 1 and bool((np.ptp(sample, axis=0) <= _ROUNDING * np.abs(sample).max(axis=0)).all())


def refuse_infinite(values: Embeddings, name: str) -> None:
    """Refuse to rank by values of an encoder that have no order.

    Raises:
        ModelError: One is not a number, or infinite.
    """
    if not np.isfinite(values).all():
        raise ModelError(f"'{name}' gave values that are not finite: nothing can be ranked by them")
