"""Score a network during training by retrieval with held-out training queries."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import torch
from sentence_transformers.sentence_transformer.evaluation import SentenceEvaluator
from torch import Tensor, nn

from adaptors.fitting.data import FitData
from adaptors.training.evaluation import NDCG, evaluation_mode, mean_ndcg
from probe.metrics.vectors import Embeddings

__all__ = ["HeldOutQueries"]

# Searched at every epoch: all relevant documents, and other documents up to this many.
_MOST_DOCUMENTS = 20_000


class HeldOutQueries(SentenceEvaluator):
    """nDCG@10 of held-out queries by dimension, and their mean.

    Attributes:
        primary_metric: Name of the mean.
    """

    def __init__(self, data: FitData, pairs: Tensor, dims: Sequence[int]) -> None:
        """Prepare the search for held-out pairs: query row, document row and grade `(P, 3)`."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.primary_metric = str(NDCG)
        self._dims = tuple(dims)
        others = torch.randperm(len(data.documents), generator=torch.Generator().manual_seed(0))[:_MOST_DOCUMENTS]
        rows, asked = torch.unique(torch.cat([others, pairs[:, 1]])), torch.unique(pairs[:, 0])
        self._documents, self._document_ids = data.documents[rows], [str(row) for row in rows.tolist()]
        self._queries, self._query_ids = data.queries[asked], [f"q{row}" for row in asked.tolist()]
        ordered = sorted(pairs.tolist())
        self._qrels = {
            f"q{query}": {str(document): grade for _, document, grade in found}
            for query, found in groupby(ordered, key=lambda pair: pair[0])
        }

    def __call__(
        self, model: Any, output_path: str | None = None, epoch: int = -1, steps: int = -1
    ) -> dict[str, float]:
        """Return nDCG@10 by dimension, as `ndcg@10_512`, and their mean, as `ndcg@10`."""
        queries, documents = _embed(model, self._queries), _embed(model, self._documents)
        scores = {dim: self._score(queries[:, :dim], documents[:, :dim]) for dim in self._dims}
        found = {f"{NDCG}_{dim}": score for dim, score in scores.items()}
        return {str(NDCG): sum(scores.values()) / len(scores), **found}

    def _score(self, queries: Embeddings, documents: Embeddings) -> float:
        ids = {"query_ids": self._query_ids, "document_ids": self._document_ids}
        return mean_ndcg(queries, documents, self._qrels, **ids)


def _embed(model: nn.Module, states: Tensor) -> Embeddings:
    device = next(model.parameters()).device
    with evaluation_mode(model):
        vectors: Embeddings = model({"sentence_embedding": states.to(device)})["sentence_embedding"].cpu().numpy()
    return vectors
