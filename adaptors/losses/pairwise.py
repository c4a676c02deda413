"""Losses of pairs of texts that sentence-transformers does not have; all look at cosines alone."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from sentence_transformers.sentence_transformer.losses import TripletDistanceMetric, TripletLoss
from torch import Tensor, nn
from torch.nn.functional import relu, softplus

from adaptors.losses.states import Features, cosines

__all__ = ["EmbeddingLoss", "HingeLoss", "LogisticLoss", "full_precision", "score_gaps"]


class EmbeddingLoss(nn.Module, ABC):
    """A loss that needs nothing but the vectors of every column.

    Attributes:
        model: Turns a column's features into the same with `sentence_embedding` `(B, D)`.
    """

    def __init__(self, model: nn.Module) -> None:
        """Judge a model."""
        super().__init__()
        self.model = model

    def forward(self, sentence_features: Features, labels: Tensor | None = None) -> Tensor:
        """Return the loss of a batch, one dictionary per column."""
        columns = [full_precision(self.model(dict(column))["sentence_embedding"]) for column in sentence_features]
        return self.compute_loss_from_embeddings(columns, labels)

    @abstractmethod
    def compute_loss_from_embeddings(self, embeddings: Sequence[Tensor], labels: Tensor | None = None) -> Tensor:
        """Return the loss of vectors, one `(B, D)` per column."""


class HingeLoss(EmbeddingLoss):
    """The mean of max(0, m - (s_pos - s_neg)), s the cosine.

    The hinge rank loss (DeViSE, Frome et al., NIPS 2013), over a query's own negatives where it has some, which is
    sentence-transformers' `TripletLoss`, else over the positives of the other queries in the batch.
    """

    def __init__(self, model: nn.Module, margin: float = 0.2) -> None:
        """Judge a model by a margin m."""
        super().__init__(model)
        self.margin = margin
        self.triplets = TripletLoss(model, TripletDistanceMetric.COSINE, margin)  # type: ignore[arg-type]

    def compute_loss_from_embeddings(self, embeddings: Sequence[Tensor], labels: Tensor | None = None) -> Tensor:
        """Return the loss of anchors, positives and perhaps negatives, each `(B, D)`."""
        anchors, positives, *negatives = embeddings
        if negatives:
            compute: Any = self.triplets.compute_loss_from_embeddings
            terms: list[Tensor] = [compute([anchors, positives, one], None) for one in negatives]
            return torch.stack(terms).mean()
        return _mean(relu(self.margin - score_gaps(embeddings)))


class LogisticLoss(EmbeddingLoss):
    """The mean of log(1 + exp(-(s_pos - s_neg) / t)), s the cosine.

    RankNet's cost of a pair whose order is known (Burges et al., ICML 2005), over the negatives that `HingeLoss` takes.
    """

    def __init__(self, model: nn.Module, temperature: float = 0.05) -> None:
        """Judge a model at a temperature t."""
        super().__init__(model)
        self.temperature = temperature

    def compute_loss_from_embeddings(self, embeddings: Sequence[Tensor], labels: Tensor | None = None) -> Tensor:
        """Return the loss of anchors, positives and perhaps negatives, each `(B, D)`."""
        return _mean(softplus(-score_gaps(embeddings) / self.temperature))


def full_precision(vectors: Tensor) -> Tensor:
    """Return vectors of half precision in float32, for scores are never of less; others as they are."""
    return vectors.float() if vectors.dtype in (torch.bfloat16, torch.float16) else vectors


def score_gaps(embeddings: Sequence[Tensor]) -> Tensor:
    """Return by how much every positive's cosine is above those of its negatives.

    Args:
        embeddings: Anchors, positives and n columns of negatives, each `(B, D)`.

    Returns:
        The differences `(B * n,)`; with n = 0 `(B * (B - 1),)`, against the other positives in the batch.
    """
    anchors, positives, *negatives = embeddings
    scores = cosines(anchors, positives)
    own = scores.diagonal().unsqueeze(1)
    if negatives:
        others = torch.cosine_similarity(anchors.unsqueeze(1), torch.stack(negatives, dim=1), dim=2)
        return (own - others).flatten()
    return (own - scores)[~torch.eye(len(scores), dtype=torch.bool, device=scores.device)]


def _mean(terms: Tensor) -> Tensor:
    """Return the mean; 0 of no terms, for the last batch of an epoch may hold one pair."""
    return terms.sum() / max(1, terms.numel())
