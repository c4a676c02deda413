"""Scoring of any encoder: vectors by their similarity, token vectors by MaxSim."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from probe.data.dataset import Dataset
from probe.data.texts import chunks
from probe.encoding.chunk_states import Progress, silent
from probe.encoding.maxsim import maxsim
from probe.encoding.opening import Openable, load_encoder
from probe.encoding.protocols import Encoder, LateEncoder
from probe.encoding.reader import LayerReader
from probe.errors import CallError, check_type, wrong_type
from probe.evaluation.records import Evaluation
from probe.evaluation.scorers import MaxSimScorer, VectorScorer, refuse_infinite
from probe.evaluation.text_ties import TextTies
from probe.metrics.retrieval import Metric, score_run
from probe.metrics.similarity import COSINE, OWN, SIMILARITIES, check_similarity
from probe.metrics.top_k import TopK
from probe.metrics.vectors import Embeddings
from probe.models.loaded import LoadedModel
from probe.results.query_examples import leaders
from probe.sources.loading import as_dataset
from probe.store.chunk_file import dequantize, quantize
from probe.store.keys import CHUNK

__all__ = ["evaluate"]

# Number of documents whose token vectors are in memory at a time.
_DOCUMENTS = 128


def evaluate(
    encoder: "Encoder | LateEncoder | Openable",
    dataset: str | Path | Dataset,
    metrics: "str | Metric | Sequence[str | Metric]" = ("ndcg@10",),
    *,
    name: str | None = None,
    similarity: str = OWN,
    progress: Progress = silent,
) -> Evaluation:
    """Score any encoder: vectors by their similarity, token vectors by MaxSim.

    Vectors are rounded like those of a hookpoint, so that equal encoders score equally. All queries are in memory, but
    only some documents at a time.

    Args:
        encoder: Anything with `encode_query` and `encode_document`; or a model that `load_encoder` opens.
        dataset: A data set, or its name or path.
        metrics: Metrics to compute, such as `ndcg@10`; one or several.
        name: Name in tables; default: its hookpoint or class.
        similarity: `cosine`, `dot`, `euclidean`, `manhattan`, or `own` (the encoder's; cosine if it has none).
        progress: Called after every chunk.

    Returns:
        Its scores and metadata.

    Raises:
        ProbeError: If a metric or the similarity is invalid, or the data is unavailable; raised before any encoding.
        ModelError: If values are not finite.
    """
    wanted = _read_metrics(metrics)
    check_similarity(similarity)
    encoder = _as_encoder(encoder)
    data = as_dataset(dataset)
    queries = [encoder.encode_query(chunk.texts) for chunk in chunks(data.queries, CHUNK)]
    # Output for one text: one vector or several.
    is_late = np.ndim(queries[0][0]) == 2
    called = name or str(getattr(encoder, "hookpoint", type(encoder).__name__))
    if is_late and similarity != OWN:
        raise CallError(f"'{called}' has one vector per token, compared by MaxSim: remove the similarity {similarity}")
    measure = _own_similarity(encoder) if similarity == OWN else similarity
    scorer, read = _score_tokens(queries, called) if is_late else _score_vectors(queries, called, measure)
    size = _DOCUMENTS if is_late else CHUNK
    depth = max(metric.cutoff for metric in wanted)
    top, ties = TopK(data.queries.ids, depth, data.dropped), TextTies(data.documents.equal_texts, data.dropped)
    for number, chunk in enumerate(chunks(data.documents, size)):
        documents = read(encoder.encode_document(chunk.texts))
        top.add(chunk.ids, scorer.compare(documents))
        ties.take(number * size, chunk.ids)
        scorer.keep_sample(number * size, documents)
        progress("documents", len(chunk), len(data.documents))
    run = ties.settle(top.run(), depth)
    scores = score_run(run, data.qrels, wanted)
    return Evaluation(called, scorer.dim, scores, scorer.collapsed, leaders=leaders(run))


def _read_metrics(metrics: Any) -> list[Metric]:
    if isinstance(metrics, str | Metric):
        return [Metric.parse(metrics)]
    check_type("metrics", metrics, Sequence, expected="a metric such as 'ndcg@10', or a list of metrics")
    return [Metric.parse(metric) for metric in metrics]


def _as_encoder(encoder: Any) -> "Encoder | LateEncoder":
    if isinstance(encoder, Encoder):
        return encoder
    if isinstance(encoder, str | Path | LayerReader | LoadedModel):
        return load_encoder(encoder)
    raise wrong_type(
        "encoder", encoder, "an object with encode_query and encode_document, or a spec such as 'minilm@5:mean'"
    )


def _own_similarity(encoder: object) -> str:
    """Return the similarity function of a sentence-transformers model or a hookpoint."""
    named = getattr(encoder, "similarity_fn_name", None)
    return named if isinstance(named, str) and named in SIMILARITIES else COSINE


def _score_vectors(
    queries: Sequence[Any], name: str, similarity: str
) -> tuple[VectorScorer, Callable[[Any], Embeddings]]:
    """Return a scorer, and a function that converts the encoder's output for it."""
    # Check before rounding, which would make infinite values finite.
    read = partial(_round, name=name)
    return VectorScorer(np.concatenate([read(part) for part in queries]), name, similarity), read


def _score_tokens(queries: Sequence[Any], name: str) -> tuple[MaxSimScorer, Callable[[Any], Embeddings]]:
    """Return the same for token vectors."""
    read = partial(_arrays, name=name)
    asked = [states for part in queries for states in read(part)]
    return MaxSimScorer(asked[0].shape[1]), lambda documents: maxsim(asked, read(documents)).T


def _round(vectors: Embeddings, name: str) -> Embeddings:
    found = np.ascontiguousarray(vectors, dtype=np.float32)
    refuse_infinite(found, name)
    return dequantize(quantize(found))


def _arrays(texts: Sequence[object], name: str) -> list[Embeddings]:
    """Return token states as arrays, given arrays or tensors on any device."""
    found = [torch.as_tensor(text).float().cpu().numpy().astype(np.float32, copy=False) for text in texts]
    for states in found:
        refuse_infinite(states, name)
    return found
