"""Scorers of a streamed corpus: similarities of vectors, or scores of late interaction."""

from collections.abc import Iterable
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from probe.errors import CallError, ModelError
from probe.metrics.geometry import SAMPLE, is_collapsed
from probe.metrics.similarity import COSINE, as_tensor, compare_tensors
from probe.metrics.vectors import Embeddings

__all__ = ["CPU", "MaxSimScorer", "VectorScorer", "refuse_infinite", "score_device"]

CPU = torch.device("cpu")

# Smaller differences of scores, relative to the largest, are due to rounding.
_ROUNDING = 1e-6


class _Sample:
    """The first documents of the corpus, to test whether all are equal; the order of the chunks does not matter."""

    def __init__(self, dim: int) -> None:
        """Create an empty sample."""
        self.dim = dim
        self._rows: dict[int, Embeddings] = {}

    def keep_sample(self, start: int, documents: Embeddings) -> None:
        """Keep those of the documents, numbered from `start`, that belong to the sample."""
        if start < SAMPLE:
            self._rows[start] = documents[: SAMPLE - start].copy()

    def _sample(self) -> Embeddings:
        return np.concatenate([rows for _, rows in sorted(self._rows.items())])


class VectorScorer(_Sample):
    """Scorer of one encoder's vectors."""

    def __init__(self, queries: Embeddings, name: str, similarity: str = COSINE, *, device: torch.device = CPU) -> None:
        """Create a scorer for query vectors.

        Args:
            queries: `(Q, D)`.
            name: Name of the encoder.
            similarity: One of `probe.metrics.similarity.SIMILARITIES`.
            device: Where they are compared; it must have float64.

        Raises:
            ModelError: If a vector is not finite.
        """
        super().__init__(int(queries.shape[1]))
        refuse_infinite(queries, name)
        self._queries = queries
        self._name = name
        self._similarity = similarity
        self._device = device

    @cached_property
    def _asked(self) -> Tensor:
        """The queries on the device; only once documents come, as another process may compare them."""
        return as_tensor(self._queries).to(self._device)

    def compare(self, documents: Embeddings) -> Tensor:
        """Return the similarities `(Q, C)` of the queries and C documents `(C, D)`, on the scorer's device.

        Raises:
            CallError: If their dimension differs from that of the queries.
            ModelError: If a vector or a similarity is not finite.
        """
        if documents.shape[1] != self.dim:
            raise CallError(
                f"queries of {self.dim} dimensions cannot search documents of {documents.shape[1]}: both encoders must "
                "embed into the same space"
            )
        refuse_infinite(documents, self._name)
        scores = compare_tensors(self._similarity, self._asked, as_tensor(documents))
        refuse_infinite(scores, self._name)
        return scores

    @cached_property
    def collapsed(self) -> bool:
        """Whether all documents have the same vector; call after all documents were added."""
        return is_collapsed(self._sample())


class MaxSimScorer(_Sample):
    """Scorer of one encoder of token vectors: documents are given as scores. Its dimension is that of a token."""

    def compare(self, documents: Embeddings) -> Tensor:
        """Return the scores `(Q, C)` of C documents given as `(C, Q)`."""
        return as_tensor(documents.T)

    @cached_property
    def collapsed(self) -> bool:
        """Whether all documents have the same score for every query; call after all documents were added."""
        sample = self._sample()
        return len(sample) > 1 and bool((np.ptp(sample, axis=0) <= _ROUNDING * np.abs(sample).max(axis=0)).all())


def score_device(devices: Iterable[torch.device]) -> torch.device:
    """Return where vectors of models are compared: on their CUDA device if there is one, else on the CPU.

    Other accelerators may lack float64, which equal scores of equal vectors need.
    """
    return next((device for device in devices if device.type == "cuda"), CPU)


def refuse_infinite(values: Embeddings | Tensor, name: str) -> None:
    """Raise if values of an encoder are not finite.

    Raises:
        ModelError: If one is NaN or infinite.
    """
    # On the CPU, numpy looks at them much faster than torch.
    given = values.numpy() if isinstance(values, Tensor) and values.device == CPU else values
    if not (given.isfinite() if isinstance(given, Tensor) else np.isfinite(given)).all():
        raise ModelError(f"the values of '{name}' are not finite: they cannot be ranked")
