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
        self._sample: list[Embeddings] = []

    def compare(self, documents: Embeddings) -> Embeddings:
        """Return the scores `(Q, C)` of the next C documents, given as `(C, Q)`."""
        if sum(map(len, self._sample)) < SAMPLE:
            self._sample.append(documents[:SAMPLE].copy())
        return np.ascontiguousarray(documents.T)

    @cached_property
    def collapsed(self) -> bool:
        """Whether all documents have the same score, for every query; asked for when all were seen."""
        sample = np.concatenate(self._sample)[:SAMPLE]
        return len(sample) > 1 and bool((np.ptp(sample, axis=0) <= _ROUNDING * np.abs(sample).max(axis=0)).all())
