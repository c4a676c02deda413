"""How one encoder retrieves: its ranking while the corpus streams by, and the scores of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from probe.collapse import SAMPLE, is_collapsed
from probe.dataset import Dataset
from probe.encoder import Embeddings
from probe.hookpoint import Hookpoint
from probe.metrics import Metric, score_run
from probe.search import TopK, cosines, unit

__all__ = ["Evaluation", "Ranking"]


@dataclass(frozen=True)
class Evaluation:
    """How one encoder retrieves.

    Attributes:
        encoder: The full spec.
        dim: Dimension of its vectors, if it has any.
        scores: One value per query and metric, in the order of the data set's qrels.
        collapsed: Whether all documents have the same vector.
        transductive: Whether a fit saw the corpus's text.
        ms_per_text: Milliseconds per document, or None where it was not measured.
        parameters: Parameters the encoder needs, where known.
        hookpoint: Where the vectors were read, if at one place of one model.
    """

    encoder: str
    dim: int | None
    scores: dict[Metric, NDArray[np.float64]]
    collapsed: bool = False
    transductive: bool = False
    ms_per_text: float | None = None
    parameters: int | None = None
    hookpoint: Hookpoint | None = None

    def mean(self, metric: Metric) -> float:
        """Return the mean over all judged queries."""
        return float(self.scores[metric].mean())


class Ranking:
    """The growing ranking of one encoder, with a sample of its documents."""

    def __init__(self, queries: Embeddings, dataset: Dataset, metrics: Sequence[Metric]) -> None:
        """Rank for query vectors `(Q, D)`, as deep as the metrics look."""
        self._queries = unit(queries)
        self._top = TopK(dataset.queries.ids, max(metric.cutoff for metric in metrics))
        self._sample: list[Embeddings] = []
        self._qrels = dataset.qrels
        self._metrics = metrics
        self.dim = queries.shape[1]

    def add(self, ids: Sequence[str], documents: Embeddings) -> Embeddings:
        """Rank the next chunk of documents `(C, D)`; returns their cosines `(Q, C)`."""
        scores = cosines(self._queries, documents)
        self._top.add(ids, scores)
        if sum(map(len, self._sample)) < SAMPLE:
            self._sample.append(documents[:SAMPLE].copy())
        return scores

    def scores(self) -> dict[Metric, NDArray[np.float64]]:
        """Return one value per query and metric."""
        return score_run(self._top.run(), self._qrels, self._metrics)

    def collapsed(self) -> bool:
        """Whether the documents ranked so far all have one vector."""
        return is_collapsed(np.concatenate(self._sample))
