"""Score a network during training by retrieval with held-out training queries."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch
from sentence_transformers.sentence_transformer.evaluation import SentenceEvaluator
from torch import Tensor, nn

from adaptors.fitting.states import FitData
from adaptors.training.evaluation import NDCG, evaluation_mode, mean_ndcg
from probe.metrics.retrieval import RunScorer
from probe.metrics.vectors import Embeddings

__all__ = ["HeldOutQueries"]

# Searched at every epoch: all relevant documents, and other documents up to this many.
_MOST_DOCUMENTS = 20_000


@dataclass(frozen=True)
class _Search:
    """Held-out queries of one corpus.

    Attributes:
        documents: States `(N, D)`.
        queries: States `(Q, D)`.
        document_ids: One per document.
        query_ids: One per query.
        scorer: Scorer with the grades of these queries.
    """

    documents: Tensor
    queries: Tensor
    document_ids: list[str]
    query_ids: list[str]
    scorer: RunScorer

    @classmethod
    def over(cls, data: FitData, pairs: Tensor, rows: range) -> "_Search":
        """Prepare the search of one corpus, of which these are the rows, for its held-out pairs `(P, 3)`."""
        others = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))[:_MOST_DOCUMENTS] + rows.start
        searched, asked = torch.unique(torch.cat([others, pairs[:, 1]])), torch.unique(pairs[:, 0])
        qrels = {
            f"q{query}": {str(document): grade for _, document, grade in found}
            for query, found in groupby(sorted(pairs.tolist()), key=lambda pair: pair[0])
        }
        document_ids, query_ids = map(str, searched.tolist()), (f"q{row}" for row in asked.tolist())
        scorer = RunScorer(qrels, [NDCG])
        return cls(data.documents[searched], data.queries[asked], [*document_ids], [*query_ids], scorer)

    def score(self, queries: Embeddings, documents: Embeddings) -> float:
        """Return the mean nDCG@10 of embedded queries `(Q, d)` and documents `(N, d)`."""
        return mean_ndcg(queries, documents, self.scorer, query_ids=self.query_ids, document_ids=self.document_ids)


class HeldOutQueries(SentenceEvaluator):
    """nDCG@10 of held-out queries by dimension, each searching the corpus of its own data set, and their mean.

    Attributes:
        primary_metric: Name of the mean.
    """

    def __init__(self, data: FitData, pairs: Tensor, dims: Sequence[int]) -> None:
        """Prepare the search for held-out pairs: query row, document row and grade `(P, 3)`."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.primary_metric = str(NDCG)
        self._dims = tuple(dims)
        own = [(rows, pairs[(pairs[:, 1] >= rows.start) & (pairs[:, 1] < rows.stop)]) for rows in data.corpus_rows]
        self._searches = [_Search.over(data, found, rows) for rows, found in own if len(found)]

    def __call__(
        self, model: Any, output_path: str | None = None, epoch: int = -1, steps: int = -1
    ) -> dict[str, float]:
        """Return nDCG@10 by dimension, as `ndcg@10_512`, and their mean, as `ndcg@10`."""
        total = sum(len(search.query_ids) for search in self._searches)
        scores = dict.fromkeys(self._dims, 0.0)
        for search in self._searches:
            queries, documents = _embed(model, search.queries), _embed(model, search.documents)
            for dim in self._dims:
                share = len(search.query_ids) / total
                scores[dim] += share * search.score(queries[:, :dim], documents[:, :dim])
        found = {f"{NDCG}_{dim}": score for dim, score in scores.items()}
        return {str(NDCG): sum(scores.values()) / len(scores), **found}


def _embed(model: nn.Module, states: Tensor) -> Embeddings:
    device = next(model.parameters()).device
    with evaluation_mode(model):
        vectors: Embeddings = model({"sentence_embedding": states.to(device)})["sentence_embedding"].cpu().numpy()
    return vectors
