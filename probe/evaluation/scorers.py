"""Scores of documents while the corpus streams by: cosines of vectors, or the scores of late interaction."""

from functools import cached_property

import numpy as np

from probe.errors import CallError
from probe.metrics.geometry import SAMPLE, is_collapsed
from probe.metrics.top_k import cosines
from probe.metrics.vectors import Embeddings, unit

__all__ = ["CosineScorer", "MaxSimScorer"]

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


class CosineScorer(_Sample):
    """The cosines of one encoder's vectors."""

    def __init__(self, queries: Embeddings) -> None:
        """Compare with query vectors `(Q, D)`."""
        super().__init__(int(queries.shape[1]))
        self._queries = unit(queries)

    def compare(self, documents: Embeddings) -> Embeddings:
        """Return the cosines `(Q, C)` of C documents `(C, D)`.

        Raises:
            CallError: They have another dimension than the queries.
        """
        if documents.shape[1] != self.dim:
            raise CallError(
                f"queries of {self.dim} dimensions cannot search documents of {documents.shape[1]}: both encoders have "
                "to map into one space"
            )
        return cosines(self._queries, documents)

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
