"""Retrieval results of one encoder."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from probe.data.dataset import Dataset
from probe.data.training_record import Learned
from probe.layers.hookpoint import Hookpoint
from probe.metrics.retrieval import Metric
from probe.results.row import FLOAT_BITS

__all__ = ["AdaptorFacts", "Evaluation", "MapEnds", "StorageFacts"]


@dataclass(frozen=True)
class MapEnds:
    """The encoders that a map between models connects, by their names in tables.

    Attributes:
        source: The encoder whose vectors are mapped.
        target: The encoder in whose space they are mapped.
    """

    source: str
    target: str


@dataclass(frozen=True)
class AdaptorFacts:
    """Facts about an adaptor, shown in tables.

    Attributes:
        kind: Its kind.
        labels: `none`, or the split or file whose relevance labels were used.
        seen: Data sets whose texts the fit saw, with the sha256 of their documents.
        fit_seconds: Duration of the fit.
        parameters: Number of parameters.
        ends: The encoders that a map between models connects.
    """

    kind: str
    labels: str
    seen: tuple[tuple[str, str], ...]
    fit_seconds: float | None
    parameters: int
    ends: MapEnds | None = None

    def saw(self, dataset: Dataset) -> bool:
        """Return whether the fit saw texts of a data set's corpus; a limited corpus counts as part of the whole."""
        return Learned(seen=self.seen).saw(dataset)


@dataclass(frozen=True)
class StorageFacts:
    """How the vectors of an encoder are stored, shown in tables.

    Attributes:
        bits: Bits per dimension of a document; a mean if they differ between dimensions.
        bytes: Size of a stored document in bytes.
        mixed: Whether the bits differ between dimensions.
        query_bits: Bits per dimension of a query.
        rescore: How many times the wanted number of documents are ranked again by their float32 vectors; 0 for none.
        seen: Data sets whose documents the ranges of the values come from, with the sha256 of their documents.
    """

    bits: float
    bytes: int
    mixed: bool = False
    query_bits: int = FLOAT_BITS
    rescore: int = 0
    seen: tuple[tuple[str, str], ...] = ()

    def saw(self, dataset: Dataset) -> bool:
        """Return whether the ranges come from texts of a data set's corpus."""
        return Learned(seen=self.seen).saw(dataset)


@dataclass(frozen=True)
class Evaluation:
    """Retrieval results of one encoder.

    Attributes:
        encoder: The full spec.
        dim: Dimension of its vectors, if any.
        scores: One value per query and metric, in the order of the data set's qrels.
        collapsed: Whether all documents have the same vector.
        transductive: Whether a fit saw the corpus's texts.
        labels: `none`, or the splits or files whose relevance labels were used to train the adaptor or the weights.
        flops: FLOPs per document of typical length, if known.
        ms_per_text: Milliseconds per document, or None unless all encoders were timed side by side.
        parameters: Number of parameters the encoder needs, if known.
        hookpoint: Its hookpoint, if there is only one.
        hookpoints: All its hookpoints.
        adaptor: Its adaptor, if any.
        storage: How its documents are stored, if they are compressed.
        notes: Further notes.
        leaders: Its top documents, best first, by query id.
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
    storage: StorageFacts | None = None
    notes: tuple[str, ...] = ()
    leaders: dict[str, tuple[str, ...]] = field(default_factory=dict, repr=False)

    def mean(self, metric: str | Metric) -> float:
        """Return the mean of a metric over all queries."""
        return float(self.scores[Metric.parse(metric)].mean())
