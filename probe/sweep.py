"""Score many hookpoints of one model, or any encoder, in one pass over the texts."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from probe.dataset import Dataset
from probe.encoder import Embeddings, Encoder
from probe.evaluation import Evaluation, Ranking
from probe.hookpoint import Hookpoint
from probe.metrics import Metric
from probe.reader import LayerReader
from probe.settings import CHUNK
from probe.states import Progress, document_side, query_side, read_side, silent
from probe.store import Store
from probe.texts import chunks

__all__ = ["SweepResult", "evaluate", "sweep"]


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
        place: Ranking(np.concatenate([chunk.vectors[place] for chunk in queries]), dataset, metrics)
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
    ranking = Ranking(_as_float32(encoder.encode_query(dataset.queries.texts)), dataset, metrics)
    for chunk in chunks(dataset.documents, CHUNK):
        ranking.add(chunk.ids, _as_float32(encoder.encode_document(chunk.texts)))
        progress("documents", len(chunk), len(dataset.documents))
    return Evaluation(name, ranking.dim, ranking.scores(), ranking.collapsed())


def _as_float32(vectors: Embeddings) -> Embeddings:
    return np.ascontiguousarray(vectors, dtype=np.float32)
