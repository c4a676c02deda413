"""Score many hookpoints of one model, or any encoder, in one pass over the texts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from probe.chunk_file import restore, shrink
from probe.dataset import Dataset
from probe.encoder import Embeddings, Encoder
from probe.evaluation import Evaluation, Part
from probe.fusions import Fusion
from probe.hookpoint import Hookpoint
from probe.metrics import Metric, score_run
from probe.one_pass import sweep_fusions
from probe.reader import LayerReader
from probe.search import TopK
from probe.settings import CHUNK
from probe.states import Progress, silent
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
    name = reader.model.source.name
    alone = [Fusion((point,)) for point in hookpoints]
    evaluations, truncated = sweep_fusions({name: reader}, alone, dataset, metrics, (store, progress))
    return SweepResult(tuple(evaluations), *truncated[name])


def evaluate(
    encoder: Encoder, name: str, dataset: Dataset, metrics: Sequence[Metric], progress: Progress = silent
) -> Evaluation:
    """Score any encoder; its vectors are rounded as those of a hookpoint are, so that equal encoders score alike.

    Args:
        encoder: Anything with `encode_query` and `encode_document`.
        name: What to call it.
        dataset: Documents, queries and judgements.
        metrics: What to compute.
        progress: Told about every chunk.

    Returns:
        Its evaluation.
    """
    queries = [_round(encoder.encode_query(chunk.texts)) for chunk in chunks(dataset.queries, CHUNK)]
    part = Part(np.concatenate(queries))
    top = TopK(dataset.queries.ids, max(metric.cutoff for metric in metrics))
    for number, chunk in enumerate(chunks(dataset.documents, CHUNK)):
        vectors = _round(encoder.encode_document(chunk.texts))
        top.add(chunk.ids, part.compare(vectors))
        part.keep_sample(number * CHUNK, vectors)
        progress("documents", len(chunk), len(dataset.documents))
    return Evaluation(name, part.dim, score_run(top.run(), dataset.qrels, metrics), part.collapsed)


def _round(vectors: Embeddings) -> Embeddings:
    return restore(shrink(np.ascontiguousarray(vectors, dtype=np.float32)))
