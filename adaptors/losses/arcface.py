"""ArcFace over the documents of a batch, with margins that grow with the difficulty of a query."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from adaptors.losses.pairwise import EmbeddingLoss
from adaptors.losses.states import cosines

__all__ = ["AdaptiveArcFaceLoss", "add_angles", "elastic_margins"]

_TINY = 1e-12


class AdaptiveArcFaceLoss(EmbeddingLoss):
    """Cross entropy over the batch's documents, with an angle added to that of every positive.

    L = mean over i of -log(p_i / (p_i + sum over j != i of exp(cos(a_ij) / t))), p_i = exp(cos(a_ii + m_i) / t), where
    a_ij is the angle between query i and document j.

    That is ArcFace (Deng et al., CVPR 2019, equation 3) with the documents of the batch in the place of classes, as
    ArcCSE has it (Zhang et al., ACL 2022), and the margins m_i of ElasticFace-Arc+ (Boutros et al., CVPR Workshops
    2022): normal around m, the greatest for the pair of the least cosine. Instead of drawing them, quantiles of the
    normal distribution are taken, so that a batch always has the same loss.
    """

    def __init__(
        self, model: nn.Module, temperature: float = 0.05, margin: float = 0.1745, *, spread: float = 0.1
    ) -> None:
        """Judge a model.

        Args:
            model: What is trained.
            temperature: t.
            margin: m, in radians; ArcCSE's 10 degrees.
            spread: The standard deviation of the margins, as a share of m; 0 gives all the same.
        """
        super().__init__(model)
        self.temperature = temperature
        self.margin = margin
        self.spread = spread

    def compute_loss_from_embeddings(self, embeddings: Sequence[Tensor], labels: Tensor | None = None) -> Tensor:
        """Return the loss of anchors, positives and perhaps negatives, each `(B, D)`."""
        anchors, *documents = embeddings
        scores = cosines(anchors, torch.cat(documents))
        own = scores.diagonal()
        harder = add_angles(own, elastic_margins(own, self.margin, self.margin * self.spread))
        scores = torch.diagonal_scatter(scores, harder.to(scores.dtype))
        return cross_entropy(scores / self.temperature, torch.arange(len(scores), device=scores.device))


def elastic_margins(own: Tensor, mean: float, deviation: float) -> Tensor:
    """Return one margin per pair: quantiles of a normal distribution, the greatest for the least cosine.

    Args:
        own: Cosines of the pairs `(B,)`.
        mean: Mean of the margins.
        deviation: Their standard deviation.

    Returns:
        The margins `(B,)`, none below 0.
    """
    ranks = own.argsort(stable=True).argsort().to(own.dtype)
    quantiles: Tensor = torch.special.ndtri((len(own) - ranks - 0.5) / len(own))
    return (mean + deviation * quantiles).clamp(min=0)


def add_angles(cosine: Tensor, angles: Tensor) -> Tensor:
    """Return cos(arccos(cosine) + angle), `(B,)`; where that is past pi, -1 and on in parallel to the cosine.

    Without the second part a pair that is nearly opposite would be better off moving further apart.
    """
    sine = (1 - cosine.square()).clamp(min=_TINY).sqrt()
    turned = cosine * angles.cos() - sine * angles.sin()
    last = (math.pi - angles).cos()
    harder: Tensor = torch.where(cosine > last, turned, cosine - last - 1)
    return harder
