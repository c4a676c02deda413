"""Score many hookpoints of one model, or any encoder, in one pass over the texts."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from probe.collapse import SAMPLE, is_collapsed
from probe.dataset import Dataset
from probe.encoder import Embeddings, Encoder
from probe.hookpoint import Hookpoint, Place
from probe.metrics import Metric, score_run
from probe.reader import LayerReader
from probe.search import TopK
from probe.texts import Documents, chunks

__all__ = ["Evaluation", "Progress", "SweepResult", "evaluate", "silent", "sweep"]

# Documents embedded between two updates of the rankings; batches never cross a chunk.
CHUNK = 2048

# Told the step's name, the texts done since the last call and the texts in all.
Progress = Callable[[str, int, int], None]


def silent(step: str, done: int, total: int) -> None:
    """Report nothing."""


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
    progress: Progress = silent,
) -> SweepResult:
    """Score hookpoints of one model; every text passes through the model once, whatever their number.

    Args:
        reader: The model's reader.
        hookpoints: Where to read it, layer and pooling written out.
        dataset: Documents, queries and judgements; the judgements are looked at only to score.
        metrics: What to compute.
        progress: Told about every batch.

    Returns:
        One evaluation per hookpoint.
    """
    places = list(dict.fromkeys(point.place for point in hookpoints))
    report = _reporter(progress, "queries", len(dataset.queries))
    queries = reader.run(reader.prepare(dataset.queries.texts, reader.model.query_prompt), places, report)
    rankings = {place: _Ranking(vectors, dataset, metrics) for place, vectors in queries.vectors.items()}
    seconds, truncated = _rank_documents(reader, rankings, dataset.documents, progress)
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
    return SweepResult(evaluations, truncated, queries.truncated)


def _rank_documents(
    reader: LayerReader, rankings: dict[Place, _Ranking], documents: Documents, progress: Progress
) -> tuple[dict[int, float], int]:
    """Stream the corpus through the model; return the seconds up to each layer and the number of texts cut."""
    seconds: Counter[int] = Counter()
    truncated = 0
    report = _reporter(progress, "documents", len(documents))
    for chunk in chunks(documents, CHUNK):
        states = reader.run(reader.prepare(chunk.texts, reader.model.document_prompt), list(rankings), report)
        truncated += states.truncated
        seconds.update(states.seconds)
        for place, vectors in states.vectors.items():
            rankings[place].add(chunk.ids, vectors)
    return dict(seconds), truncated


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
    report = _reporter(progress, "documents", len(dataset.documents))
    ranking = _Ranking(_as_float32(encoder.encode_query(dataset.queries.texts)), dataset, metrics)
    for chunk in chunks(dataset.documents, CHUNK):
        ranking.add(chunk.ids, _as_float32(encoder.encode_document(chunk.texts)))
        report(len(chunk))
    return Evaluation(name, ranking.dim, ranking.scores(), ranking.collapsed())


def _as_float32(vectors: Embeddings) -> Embeddings:
    return np.ascontiguousarray(vectors, dtype=np.float32)


def _reporter(progress: Progress, step: str, total: int) -> Callable[[int], None]:
    return lambda done: progress(step, done, total)
