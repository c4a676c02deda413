"""Evaluate a model during training: in eval mode, by nDCG@10 of vectors in memory."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn

from probe.layers.random_states import kept_random_states
from probe.metrics.retrieval import Metric, RunScorer
from probe.metrics.top_k import TopK, cosines
from probe.metrics.vectors import Embeddings, unit

__all__ = ["NDCG", "evaluation_mode", "kept_modes", "mean_ndcg"]

NDCG = Metric("ndcg", 10)


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Put a model in eval mode without gradients; training modes and random states are restored at the end.

    Args:
        model: The model; its modules may be in different modes.
    """
    with kept_modes(model), kept_random_states(), torch.no_grad():
        model.eval()
        yield


@contextmanager
def kept_modes(model: nn.Module) -> Iterator[None]:
    """Restore the training mode of every module of a model at the end."""
    modes = {module: module.training for module in model.modules()}
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def mean_ndcg(
    queries: Embeddings,
    documents: Embeddings,
    scorer: RunScorer,
    *,
    query_ids: Sequence[str],
    document_ids: Sequence[str],
) -> float:
    """Return the mean nDCG@10 of queries `(Q, D)` over documents `(N, D)`, given a scorer of that metric."""
    top = TopK(query_ids, NDCG.cutoff)
    top.add(list(document_ids), cosines(unit(queries), documents))
    return float(scorer.score(top.run())[NDCG].mean())
