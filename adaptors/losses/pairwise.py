"""Losses on pairs of texts that sentence-transformers does not provide; all are functions of cosines."""

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

# ElasticFace's standard deviation of the margins, relative to their mean.
_SPREAD = 0.1
_TINY = 1e-12


class EmbeddingLoss(nn.Module, ABC):
    """A loss that is a function of the embeddings of every column.

    Attributes:
        model: Adds `sentence_embedding` `(B, D)` to a column's features.
    """

    def __init__(self, model: nn.Module) -> None:
        """Wrap a model."""
        super().__init__()
        self.model = model

    def forward(self, sentence_features: Features, labels: Tensor | None = None) -> Tensor:
        """Return the loss of a batch, with one feature dictionary per column."""
        # The dictionaries are not copied: losses over layers reuse what the first pass stored in them.
        columns = [full_precision(self.model(column)["sentence_embedding"]) for column in sentence_features]
        return self.compute_loss_from_embeddings(columns, labels)

    @abstractmethod
    def compute_loss_from_embeddings(self, embeddings: Sequence[Tensor], labels: Tensor | None = None) -> Tensor:
        """Return the loss for embeddings, one `(B, D)` per column."""


class HingeLoss(EmbeddingLoss):
    """Mean of max(0, m - (s_pos - s_neg)), with s the cosine.

    The hinge rank loss (DeViSE, Frome et al., NIPS 2013), over a query's own negatives if it has any, which is
    sentence-transformers' `TripletLoss`, otherwise over the in-batch negatives.
    """

    def __init__(self, model: nn.Module, margin: float = 0.2) -> None:
        """Wrap a model, with margin m."""
        super().__init__(model)
        self.margin = margin
        self.triplets = TripletLoss(model, TripletDistanceMetric.COSINE, margin)  # type: ignore[arg-type]

    def compute_loss_from_embeddings(self, embeddings: Sequence[Tensor], labels: Tensor | None = None) -> Tensor:
        """Return the loss for anchors, positives and optional negatives, each `(B, D)`."""
        anchors, positives, *negatives = embeddings
        if negatives:
            compute: Any = self.triplets.compute_loss_from_embeddings
            terms: list[Tensor] = [compute([anchors, positives, one], None) for one in negatives]
            return torch.stack(terms).mean()
        return _mean(relu(self.margin - _score_gaps(embeddings)))


class LogisticLoss(EmbeddingLoss):
    """Mean of log(1 + exp(-(s_pos - s_neg) / t)), with s the cosine.

    RankNet's pairwise cost (Burges et al., ICML 2005), over the same negatives as `HingeLoss`.
    """

    def __init__(self, model: nn.Module, temperature: float = 0.05) -> None:
        """Wrap a model, with temperature t."""
        super().__init__(model)
        self.temperature = temperature

    def compute_loss_from_embeddings(self, embeddings: Sequence[Tensor], labels: Tensor | None = None) -> Tensor:
        """Return the loss for anchors, positives and optional negatives, each `(B, D)`."""
        return _mean(softplus(-_score_gaps(embeddings) / self.temperature))


class AdaptiveArcFaceLoss(EmbeddingLoss):
    """Cross entropy over the documents of the batch, with an angular margin added to every positive pair.

    L = mean over i of -log(p_i / (p_i + sum over j != i of exp(cos(a_ij) / t))), p_i = exp(cos(a_ii + m_i) / t), where
    a_ij is the angle between query i and document j.

    This is ArcFace (Deng et al., CVPR 2019, equation 3) with in-batch documents instead of classes, as in ArcCSE (Zhang
    et al., ACL 2022), and with the margins m_i of ElasticFace-Arc+ (Boutros et al., CVPR Workshops 2022): normally
    distributed around m, the largest for the pair with the lowest cosine. Quantiles of the normal distribution replace
    random draws, so that the loss of a batch is deterministic.
    """

    def __init__(self, model: nn.Module, temperature: float = 0.05, margin: float = 0.1745) -> None:
        """Wrap a model, with temperature t and margin m in radians (default: ArcCSE's 10 degrees)."""
        super().__init__(model)
        self.temperature = temperature
        self.margin = margin

    def compute_loss_from_embeddings(self, embeddings: Sequence[Tensor], labels: Tensor | None = None) -> Tensor:
        """Return the loss for anchors, positives and optional negatives, each `(B, D)`."""
        anchors, *documents = embeddings
        scores = cosines(anchors, torch.cat(documents))
        own = scores.diagonal()
        harder = add_angles(own, elastic_margins(own, self.margin, self.margin * _SPREAD))
        scores = torch.diagonal_scatter(scores, harder.to(scores.dtype))
        return cross_entropy(scores / self.temperature, torch.arange(len(scores), device=scores.device))


class AlignmentAnisotropyLoss(EmbeddingLoss):
    """Alignment of positives, plus the anisotropy within each side and across sides.

    L = mean over i of (1 - s(q_i, d_i)) / t + (A(Q, Q) + A(D, D)) / 2 + A(Q, D), where
    A(X, Y) = log mean over i != j of exp(s(x_i, y_j) / t), and s is the cosine. D is the positives, then the negatives.

    Alignment and uniformity follow Wang and Isola (ICML 2020, section 4.1), with cosines instead of their distances
    (2 t_theirs = 1 / t on unit vectors, up to constants). Uniformity within each side and across sides is the loss
    CUAXU of Fahim et al. (It's Not a Modality Gap, 2024).
    """

    def __init__(self, model: nn.Module, temperature: float = 0.05) -> None:
        """Wrap a model, with temperature t."""
        super().__init__(model)
        self.temperature = temperature

    def compute_loss_from_embeddings(self, embeddings: Sequence[Tensor], labels: Tensor | None = None) -> Tensor:
        """Return the loss for anchors, positives and optional negatives, each `(B, D)`."""
        queries, documents = embeddings[0], torch.cat(list(embeddings[1:]))
        across = cosines(queries, documents) / self.temperature
        alignment = (1 / self.temperature - across.diagonal()).mean()
        within = [_log_mean_exp(cosines(side) / self.temperature) for side in (queries, documents)]
        return alignment + torch.stack(within).mean() + _log_mean_exp(across)


def elastic_margins(own: Tensor, mean: float, deviation: float) -> Tensor:
    """Return one non-negative margin per pair `(B,)`, the largest for the pair with the lowest cosine."""
    ranks = own.argsort(stable=True).argsort().to(own.dtype)
    quantiles: Tensor = torch.special.ndtri((len(own) - ranks - 0.5) / len(own))
    return (mean + deviation * quantiles).clamp(min=0)


def add_angles(cosine: Tensor, angles: Tensor) -> Tensor:
    """Return cos(arccos(cosine) + angle) `(B,)`, continued below -1 beyond pi with slope 1 in the cosine.

    Without this continuation, nearly opposite pairs would be pushed further apart.
    """
    sine = (1 - cosine.square()).clamp(min=_TINY).sqrt()
    turned = cosine * angles.cos() - sine * angles.sin()
    last = (math.pi - angles).cos()
    harder: Tensor = torch.where(cosine > last, turned, cosine - last - 1)
    return harder


def _log_mean_exp(scores: Tensor) -> Tensor:
    """Return the log-mean-exp over the off-diagonal entries of `(N, M)`; 0 if there are none."""
    rows, columns = scores.shape
    if scores.numel() == min(rows, columns):
        return scores.sum() * 0
    diagonal = torch.eye(rows, columns, dtype=torch.bool, device=scores.device)
    others = scores.masked_fill(diagonal, -torch.inf)
    return others.flatten().logsumexp(dim=0) - math.log(scores.numel() - min(rows, columns))


def full_precision(vectors: Tensor) -> Tensor:
    """Return half-precision vectors in float32, the minimum precision of scores; others unchanged."""
    return vectors.float() if vectors.dtype in (torch.bfloat16, torch.float16) else vectors


def _score_gaps(embeddings: Sequence[Tensor]) -> Tensor:
    """Return the differences between each positive's cosine and those of its negatives.

    With n columns of negatives `(B, D)` the result is `(B * n,)`; without negatives it is `(B * (B - 1),)`, over the
    other positives in the batch.
    """
    anchors, positives, *negatives = embeddings
    scores = cosines(anchors, positives)
    own = scores.diagonal().unsqueeze(1)
    if negatives:
        others = torch.cosine_similarity(anchors.unsqueeze(1), torch.stack(negatives, dim=1), dim=2)
        return (own - others).flatten()
    return (own - scores)[~torch.eye(len(scores), dtype=torch.bool, device=scores.device)]


def _mean(terms: Tensor) -> Tensor:
    """Return the mean, or 0 without terms: the last batch of an epoch may have a single pair."""
    return terms.sum() / max(1, terms.numel())
