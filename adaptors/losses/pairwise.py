"""Losses of pairs of texts that sentence-transformers does not have; all depend on cosines alone."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from sentence_transformers.sentence_transformer.losses import TripletDistanceMetric, TripletLoss
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, relu, softplus

from adaptors.losses.states import Features, cosines

__all__ = [
    "AdaptiveArcFaceLoss",
    "AlignmentAnisotropyLoss",
    "EmbeddingLoss",
    "HingeLoss",
    "LogisticLoss",
    "add_angles",
    "elastic_margins",
    "full_precision",
]

# ElasticFace's standard deviation of the margins, as a share of their mean.
_SPREAD = 0.1
_TINY = 1e-12


class EmbeddingLoss(nn.Module, ABC):
    """A loss that needs nothing but the vectors of every column.

    Attributes:
        model: Turns a column's features into the same with `sentence_embedding` `(B, D)`.
    """

    def __init__(self, model: nn.Module) -> None:
        """Take the vectors of a model."""
        super().__init__()
        self.model = model

    def forward(self, sentence_features: Features, labels: Tensor | None = None) -> Tensor:
        """Return the loss of a batch, one dictionary per column."""
        # The columns themselves, no copies: losses over layers find in them what the first pass left there.
        columns = [full_precision(self.model(column)["sentence_embedding"]) for column in sentence_features]
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
        """Take the vectors of a model, and a margin m."""
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
        return _mean(relu(self.margin - _score_gaps(embeddings)))


class LogisticLoss(EmbeddingLoss):
    """The mean of log(1 + exp(-(s_pos - s_neg) / t)), s the cosine.

    RankNet's cost of a pair whose order is known (Burges et al., ICML 2005), over the negatives that `HingeLoss` takes.
    """

    def __init__(self, model: nn.Module, temperature: float = 0.05) -> None:
        """Take the vectors of a model, and a temperature t."""
        super().__init__(model)
        self.temperature = temperature

    def compute_loss_from_embeddings(self, embeddings: Sequence[Tensor], labels: Tensor | None = None) -> Tensor:
        """Return the loss of anchors, positives and perhaps negatives, each `(B, D)`."""
        return _mean(softplus(-_score_gaps(embeddings) / self.temperature))


class AdaptiveArcFaceLoss(EmbeddingLoss):
    """Cross entropy over the batch's documents, with an angle added to that of every positive.

    L = mean over i of -log(p_i / (p_i + sum over j != i of exp(cos(a_ij) / t))), p_i = exp(cos(a_ii + m_i) / t), where
    a_ij is the angle between query i and document j.

    That is ArcFace (Deng et al., CVPR 2019, equation 3) with the documents of the batch in the place of classes, as
    ArcCSE has it (Zhang et al., ACL 2022), and the margins m_i of ElasticFace-Arc+ (Boutros et al., CVPR Workshops
    2022): normal around m, the greatest for the pair of the least cosine. Instead of drawing them, quantiles of the
    normal distribution are taken, so that a batch always has the same loss.
    """

    def __init__(self, model: nn.Module, temperature: float = 0.05, margin: float = 0.1745) -> None:
        """Take the vectors of a model, a temperature t, and m in radians, ArcCSE's 10 degrees when left out."""
        super().__init__(model)
        self.temperature = temperature
        self.margin = margin

    def compute_loss_from_embeddings(self, embeddings: Sequence[Tensor], labels: Tensor | None = None) -> Tensor:
        """Return the loss of anchors, positives and perhaps negatives, each `(B, D)`."""
        anchors, *documents = embeddings
        scores = cosines(anchors, torch.cat(documents))
        own = scores.diagonal()
        harder = add_angles(own, elastic_margins(own, self.margin, self.margin * _SPREAD))
        scores = torch.diagonal_scatter(scores, harder.to(scores.dtype))
        return cross_entropy(scores / self.temperature, torch.arange(len(scores), device=scores.device))


class AlignmentAnisotropyLoss(EmbeddingLoss):
    """Alignment of positives, plus the anisotropy within the sides and across them.

    L = mean over i of (1 - s(q_i, d_i)) / t + (A(Q, Q) + A(D, D)) / 2 + A(Q, D), where
    A(X, Y) = log mean over i != j of exp(s(x_i, y_j) / t), and s the cosine. D holds the positives, then the negatives.

    Alignment and uniformity are those of Wang and Isola (ICML 2020, section 4.1): on unit vectors the distances there
    are cosines here, with 2 t_there = 1 / t, up to constants. Uniformity within each side and across the sides is the
    loss CUAXU of Fahim et al. (It's Not a Modality Gap, 2024).
    """

    def __init__(self, model: nn.Module, temperature: float = 0.05) -> None:
        """Take the vectors of a model, and a temperature t."""
        super().__init__(model)
        self.temperature = temperature

    def compute_loss_from_embeddings(self, embeddings: Sequence[Tensor], labels: Tensor | None = None) -> Tensor:
        """Return the loss of anchors, positives and perhaps negatives, each `(B, D)`."""
        queries, documents = embeddings[0], torch.cat(list(embeddings[1:]))
        across = cosines(queries, documents) / self.temperature
        alignment = (1 / self.temperature - across.diagonal()).mean()
        within = [_log_mean_exp(cosines(side) / self.temperature) for side in (queries, documents)]
        return alignment + torch.stack(within).mean() + _log_mean_exp(across)


def elastic_margins(own: Tensor, mean: float, deviation: float) -> Tensor:
    """Return one margin per pair `(B,)`, given the pairs' cosines: the greatest for the least cosine, none below 0."""
    ranks = own.argsort(stable=True).argsort().to(own.dtype)
    quantiles: Tensor = torch.special.ndtri((len(own) - ranks - 0.5) / len(own))
    return (mean + deviation * quantiles).clamp(min=0)


def add_angles(cosine: Tensor, angles: Tensor) -> Tensor:
    """Return cos(arccos(cosine) + angle), `(B,)`; past pi it goes on from -1 with the slope of the cosine.

    Without the second part a pair that is nearly opposite would be better off moving further apart.
    """
    sine = (1 - cosine.square()).clamp(min=_TINY).sqrt()
    turned = cosine * angles.cos() - sine * angles.sin()
    last = (math.pi - angles).cos()
    harder: Tensor = torch.where(cosine > last, turned, cosine - last - 1)
    return harder


def _log_mean_exp(scores: Tensor) -> Tensor:
    """Return the logarithm of the mean of exp over all of `(N, M)` but its diagonal; 0 where nothing else is there."""
    rows, columns = scores.shape
    if scores.numel() == min(rows, columns):
        return scores.sum() * 0
    diagonal = torch.eye(rows, columns, dtype=torch.bool, device=scores.device)
    others = scores.masked_fill(diagonal, -torch.inf)
    return others.flatten().logsumexp(dim=0) - math.log(scores.numel() - min(rows, columns))


def full_precision(vectors: Tensor) -> Tensor:
    """Return vectors of half precision in float32, for scores are never of less; others as they are."""
    return vectors.float() if vectors.dtype in (torch.bfloat16, torch.float16) else vectors


def _score_gaps(embeddings: Sequence[Tensor]) -> Tensor:
    """Return by how much every positive's cosine is above those of its n negatives.

    Of anchors, positives and n columns of negatives, each `(B, D)`, the differences are `(B * n,)`; with n = 0 they are
    `(B * (B - 1),)`, against the other positives in the batch.
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
