"""Evaluate a model in the middle of its training: as it is in use, by nDCG@10 of vectors in memory."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn

from probe.layers.random_states import kept_random_states
from probe.metrics.retrieval import Metric, score_run
from probe.metrics.top_k import TopK, cosines
from probe.metrics.vectors import Embeddings, unit

__all__ = ["NDCG", "evaluation_mode", "kept_modes", "mean_ndcg"]

NDCG = Metric("ndcg", 10)


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Let a model embed as it does in use, without gradients; its modes and all random states are as before after it.

    Args:
        model: The model; its parts may be in different modes.
    """
    with kept_modes(model), kept_random_states(), torch.no_grad():
        model.eval()
        yield


@contextmanager
def kept_modes(model: nn.Module) -> Iterator[None]:
    """Give every part of a model its mode back afterwards: training or not."""
    modes = {module: module.training for module in model.modules()}
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def mean_ndcg(
    queries: Embeddings,
    documents: Embeddings,
    qrels: dict[str, dict[str, int]],
    *,
    query_ids: Sequence[str],
    document_ids: Sequence[str],
) -> float:
    """Return the mean nDCG@10 of queries `(Q, D)` among documents `(N, D)`, given grades per query and document."""
    top = TopK(query_ids, NDCG.cutoff)
    top.add(list(document_ids), cosines(unit(queries), documents))
    return float(score_run(top.run(), qrels, [NDCG])[NDCG].mean())
