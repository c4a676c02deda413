"""Score any encoder: vectors by their cosines, tokens by MaxSim."""

from collections.abc import Sequence

import numpy as np
import torch

from probe.data.dataset import Dataset
from probe.data.texts import chunks
from probe.encoding.chunk_states import Progress, silent
from probe.encoding.encoder import Encoder, LateEncoder
from probe.encoding.maxsim import maxsim
from probe.evaluation.records import Evaluation
from probe.evaluation.scorers import CosineScorer, MaxSimScorer
from probe.metrics.retrieval import Metric, score_run
from probe.metrics.top_k import TopK
from probe.metrics.vectors import Embeddings
from probe.store.chunk_file import dequantize, quantize
from probe.store.keys import CHUNK

__all__ = ["evaluate", "evaluate_late"]

# Documents whose tokens are in memory at a time.
_DOCUMENTS = 128


def evaluate(
    encoder: Encoder, name: str, dataset: Dataset, *, metrics: Sequence[Metric], progress: Progress = silent
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
    scorer = CosineScorer(np.concatenate(queries))
    top = TopK(dataset.queries.ids, max(metric.cutoff for metric in metrics))
    for number, chunk in enumerate(chunks(dataset.documents, CHUNK)):
        vectors = _round(encoder.encode_document(chunk.texts))
        top.add(chunk.ids, scorer.compare(vectors))
        scorer.keep_sample(number * CHUNK, vectors)
        progress("documents", len(chunk), len(dataset.documents))
    return Evaluation(name, scorer.dim, score_run(top.run(), dataset.qrels, metrics), scorer.collapsed)


def evaluate_late(
    encoder: LateEncoder, name: str, dataset: Dataset, *, metrics: Sequence[Metric], progress: Progress = silent
) -> Evaluation:
    """Score any encoder of tokens by MaxSim; some documents' tokens are in memory at a time, and all queries'.

    Args:
        encoder: Anything with `encode_query` and `encode_document` that gives a vector per token.
        name: What to call it.
        dataset: Documents, queries and judgements.
        metrics: What to compute.
        progress: Told about every chunk.

    Returns:
        Its evaluation.
    """
    queries = _arrays(encoder.encode_query(dataset.queries.texts))
    scorer = MaxSimScorer(queries[0].shape[1])
    top = TopK(dataset.queries.ids, max(metric.cutoff for metric in metrics))
    for number, chunk in enumerate(chunks(dataset.documents, _DOCUMENTS)):
        scores = maxsim(queries, _arrays(encoder.encode_document(chunk.texts))).T
        top.add(chunk.ids, scorer.compare(scores))
        scorer.keep_sample(number * _DOCUMENTS, scores)
        progress("documents", len(chunk), len(dataset.documents))
    return Evaluation(name, scorer.dim, score_run(top.run(), dataset.qrels, metrics), scorer.collapsed)


def _round(vectors: Embeddings) -> Embeddings:
    return dequantize(quantize(np.ascontiguousarray(vectors, dtype=np.float32)))


def _arrays(texts: Sequence[object]) -> list[Embeddings]:
    """Return token states as arrays, whether they come as arrays or as tensors of any device."""
    return [torch.as_tensor(text).float().cpu().numpy().astype(np.float32, copy=False) for text in texts]
