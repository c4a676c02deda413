"""The scores of late interaction while the corpus streams by, where a vector per text has its cosines."""

from functools import cached_property

import numpy as np

from probe.collapse import SAMPLE
from probe.encoder import Embeddings

__all__ = ["LatePart"]

# Scores that differ by less, relative to the largest, differ by rounding.
_ROUNDING = 1e-6


class LatePart:
    """What one encoder of tokens found: documents come with their scores."""

    def __init__(self, width: int) -> None:
        """Begin with no document; token states have `width` dimensions."""
        self.dim = width
        self._sample: dict[int, Embeddings] = {}

    def compare(self, documents: Embeddings) -> Embeddings:
        """Return the scores `(Q, C)` of C documents, given as `(C, Q)`."""
        return np.ascontiguousarray(documents.T)

    def keep_sample(self, start: int, documents: Embeddings) -> None:
        """Keep the scores of the corpus's first documents, which tell whether all are alike.

        Args:
            start: Place in the corpus of the first of these documents.
            documents: Their scores `(C, Q)`; those beyond the sample are passed over.
        """
        if start < SAMPLE:
            self._sample[start] = documents[: SAMPLE - start].copy()

    @cached_property
    def collapsed(self) -> bool:
        """Whether all documents have the same score, for every query; asked for when all were seen."""
        sample = np.concatenate([scores for _, scores in sorted(self._sample.items())])
        return len(sample) > 1 and bool((np.ptp(sample, axis=0) <= _ROUNDING * np.abs(sample).max(axis=0)).all())
