"""Score any encoder: vectors by their cosines, tokens by MaxSim."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from probe.data.dataset import Dataset
from probe.data.loading import as_dataset
from probe.data.texts import chunks
from probe.encoding.chunk_states import Progress, silent
from probe.encoding.maxsim import maxsim
from probe.encoding.protocols import Encoder, LateEncoder
from probe.evaluation.records import Evaluation
from probe.evaluation.scorers import CosineScorer, MaxSimScorer
from probe.evaluation.text_ties import TextTies
from probe.metrics.retrieval import Metric, score_run
from probe.metrics.top_k import TopK
from probe.metrics.vectors import Embeddings
from probe.store.chunk_file import dequantize, quantize
from probe.store.keys import CHUNK

__all__ = ["evaluate"]

# Documents whose tokens are in memory at a time.
_DOCUMENTS = 128


def evaluate(
    encoder: Encoder | LateEncoder,
    dataset: str | Path | Dataset,
    metrics: Sequence[str | Metric] = ("ndcg@10",),
    *,
    name: str | None = None,
    progress: Progress = silent,
) -> Evaluation:
    """Score any encoder: vectors by their cosines, a vector per token by MaxSim.

    Vectors are rounded as those of a hookpoint are, so that equal encoders score alike. All queries are in memory, and
    some documents at a time.

    Args:
        encoder: Anything with `encode_query` and `encode_document`.
        dataset: Documents, queries and judgements, or their name or path.
        metrics: What to compute, as `ndcg@10`.
        name: What to call it; its hookpoint or its class when left out.
        progress: Called after every chunk.

    Returns:
        Its evaluation.

    Raises:
        ProbeError: A metric is wrong, or the data cannot be had; no text was encoded.
    """
    wanted = [Metric.parse(metric) for metric in metrics]
    data = as_dataset(dataset)
    queries = [encoder.encode_query(chunk.texts) for chunk in chunks(data.queries, CHUNK)]
    # What one text gives: a vector, or several.
    is_late = np.ndim(queries[0][0]) == 2
    scorer, read = _score_tokens(queries) if is_late else _score_vectors(queries)
    size = _DOCUMENTS if is_late else CHUNK
    depth = max(metric.cutoff for metric in wanted)
    top, ties = TopK(data.queries.ids, depth, data.dropped), TextTies(data.documents.equal_texts, data.dropped)
    for number, chunk in enumerate(chunks(data.documents, size)):
        documents = read(encoder.encode_document(chunk.texts))
        top.add(chunk.ids, scorer.compare(documents))
        ties.take(number * size, chunk.ids)
        scorer.keep_sample(number * size, documents)
        progress("documents", len(chunk), len(data.documents))
    called = name or str(getattr(encoder, "hookpoint", type(encoder).__name__))
    run = ties.settle(top.run(), depth)
    return Evaluation(called, scorer.dim, score_run(run, data.qrels, wanted), scorer.collapsed)


def _score_vectors(queries: Sequence[Any]) -> tuple[CosineScorer, Callable[[Any], Embeddings]]:
    """Return what compares documents with queries, and what makes of an encoder's output what that compares."""
    return CosineScorer(np.concatenate([_round(part) for part in queries])), _round


def _score_tokens(queries: Sequence[Any]) -> tuple[MaxSimScorer, Callable[[Any], Embeddings]]:
    """The same for a vector per token."""
    asked = [states for part in queries for states in _arrays(part)]
    return MaxSimScorer(asked[0].shape[1]), lambda documents: maxsim(asked, _arrays(documents)).T


def _round(vectors: Embeddings) -> Embeddings:
    return dequantize(quantize(np.ascontiguousarray(vectors, dtype=np.float32)))


def _arrays(texts: Sequence[object]) -> list[Embeddings]:
    """Return token states as arrays, whether they come as arrays or as tensors of any device."""
    return [torch.as_tensor(text).float().cpu().numpy().astype(np.float32, copy=False) for text in texts]
