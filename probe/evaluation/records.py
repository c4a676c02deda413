"""How one encoder retrieves, as a value."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from probe.data.dataset import Dataset
from probe.data.training_record import Learned
from probe.layers.hookpoint import Hookpoint
from probe.metrics.retrieval import Metric

__all__ = ["AdaptorFacts", "Evaluation"]


@dataclass(frozen=True)
class AdaptorFacts:
    """The facts of an adaptor that a table shows.

    Attributes:
        kind: Its kind.
        labels: `none`, or the split whose judgements were used, or the file whose labels.
        seen: Name of every data set whose texts its fit saw, and sha256 of its documents.
        fit_seconds: Time to fit it.
        parameters: Its parameters.
    """

    kind: str
    labels: str
    seen: tuple[tuple[str, str], ...]
    fit_seconds: float | None
    parameters: int

    def saw(self, dataset: Dataset) -> bool:
        """Whether the fit saw texts of a data set's corpus; a limited one is taken for a part of the whole."""
        return Learned(seen=self.seen).saw(dataset)


@dataclass(frozen=True)
class Evaluation:
    """How one encoder retrieves.

    Attributes:
        encoder: The full spec.
        dim: Dimension of its vectors, if it has any.
        scores: One value per query and metric, in the order of the data set's qrels.
        collapsed: Whether all documents have the same vector.
        transductive: Whether a fit saw the corpus's text.
        labels: `none`, or the splits or files whose judgements were learned, by what is on top or by the weights.
        flops: Operations per document of typical length, where known.
        ms_per_text: Milliseconds per document, or None where not all encoders were timed side by side.
        parameters: Parameters the encoder needs, where known.
        hookpoint: Where the vectors were read, if at a single one.
        hookpoints: All that it reads.
        adaptor: What is on top, if anything.
        notes: What else there is to be said of it.
        leaders: The documents it found first, best first, per query id.
    """

    encoder: str
    dim: int | None
    scores: dict[Metric, NDArray[np.float64]]
    collapsed: bool = False
    transductive: bool = False
    labels: str = "none"
    flops: int | None = None
    ms_per_text: float | None = None
    parameters: int | None = None
    hookpoint: Hookpoint | None = None
    hookpoints: tuple[Hookpoint, ...] = ()
    adaptor: AdaptorFacts | None = None
    notes: tuple[str, ...] = ()
    leaders: dict[str, tuple[str, ...]] = field(default_factory=dict, repr=False)

    def mean(self, metric: str | Metric) -> float:
        """Return the mean of a metric, or of what `ndcg@10` names, over all judged queries."""
        return float(self.scores[Metric.parse(metric)].mean())
