"""Score many hookpoints of one model, or any encoder, in one pass over the texts."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from probe.collapse import SAMPLE, is_collapsed
from probe.dataset import Dataset
from probe.encoder import Embeddings, Encoder
from probe.hookpoint import Hookpoint
from probe.metrics import Metric, score_run
from probe.reader import LayerReader
from probe.search import TopK
from probe.settings import CHUNK
from probe.states import Progress, document_side, query_side, read_side, silent
from probe.store import Store
from probe.texts import chunks

__all__ = ["Evaluation", "SweepResult", "evaluate", "sweep"]


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


@dataclass(frozen=True)
class SweepResult:
    """What one pass over the texts gave.

    Attributes:
        evaluations: One per hookpoint, in the order asked for.
        truncated_documents: Documents longer than the model takes.
        truncated_queries: Queries longer than the model takes.
    """

    evaluations: tuple[Evaluation, ...]
    truncated_documents: int
    truncated_queries: int


class _Ranking:
    """The growing ranking of one encoder, with a sample of its documents."""

    def __init__(self, queries: Embeddings, dataset: Dataset, metrics: Sequence[Metric]) -> None:
        """Rank for query vectors `(Q, D)`, as deep as the metrics look."""
        depth = max(metric.cutoff for metric in metrics)
        self._top = TopK(queries, dataset.queries.ids, depth)
        self._sample: list[Embeddings] = []
        self._qrels = dataset.qrels
        self._metrics = metrics
        self.dim = queries.shape[1]

    def add(self, ids: Sequence[str], documents: Embeddings) -> None:
        """Rank the next chunk of documents."""
        self._top.add(ids, documents)
        if sum(map(len, self._sample)) < SAMPLE:
            self._sample.append(documents[:SAMPLE].copy())

    def scores(self) -> dict[Metric, NDArray[np.float64]]:
        """Return one value per query and metric."""
        return score_run(self._top.run(), self._qrels, self._metrics)

    def collapsed(self) -> bool:
        """Whether the documents ranked so far all have one vector."""
        return is_collapsed(np.concatenate(self._sample))


def sweep(
    reader: LayerReader,
    hookpoints: Sequence[Hookpoint],
    dataset: Dataset,
    metrics: Sequence[Metric],
    store: Store | None = None,
    progress: Progress = silent,
) -> SweepResult:
    """Score hookpoints of one model; every text passes through the model once, whatever their number.

    Memory holds the queries' vectors, a running top k per hookpoint and one chunk of documents.

    Args:
        reader: The model's reader.
        hookpoints: Where to read it, layer and pooling written out.
        dataset: Documents, queries and judgements; the judgements are looked at only to score.
        metrics: What to compute.
        store: Where states are read and kept, if anywhere.
        progress: Told about every batch.

    Returns:
        One evaluation per hookpoint.
    """
    places = list(dict.fromkeys(point.place for point in hookpoints))
    queries = list(read_side(reader, query_side(reader, dataset), places, store, progress))
    rankings = {
        place: _Ranking(np.concatenate([chunk.vectors[place] for chunk in queries]), dataset, metrics)
        for place in places
    }
    seconds: Counter[int] = Counter()
    truncated = 0
    for chunk in read_side(reader, document_side(reader, dataset), places, store, progress):
        seconds.update(chunk.seconds)
        truncated += chunk.truncated
        for place, vectors in chunk.vectors.items():
            rankings[place].add(chunk.ids, vectors)
    evaluations = tuple(
        Evaluation(
            encoder=str(point),
            dim=rankings[point.place].dim,
            scores=rankings[point.place].scores(),
            collapsed=rankings[point.place].collapsed(),
            ms_per_text=1000 * seconds[point.place[0]] / len(dataset.documents),
            parameters=reader.model.parameters[point.place[0]],
            hookpoint=point,
        )
        for point in hookpoints
    )
    return SweepResult(evaluations, truncated, sum(chunk.truncated for chunk in queries))


def evaluate(
    encoder: Encoder, name: str, dataset: Dataset, metrics: Sequence[Metric], progress: Progress = silent
) -> Evaluation:
    """Score any encoder.

    Args:
        encoder: Anything with `encode_query` and `encode_document`.
        name: What to call it.
        dataset: Documents, queries and judgements.
        metrics: What to compute.
        progress: Told about every chunk.

    Returns:
        Its evaluation.
    """
    ranking = _Ranking(_as_float32(encoder.encode_query(dataset.queries.texts)), dataset, metrics)
    for chunk in chunks(dataset.documents, CHUNK):
        ranking.add(chunk.ids, _as_float32(encoder.encode_document(chunk.texts)))
        progress("documents", len(chunk), len(dataset.documents))
    return Evaluation(name, ranking.dim, ranking.scores(), ranking.collapsed())


def _as_float32(vectors: Embeddings) -> Embeddings:
    return np.ascontiguousarray(vectors, dtype=np.float32)
