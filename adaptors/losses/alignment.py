"""Alignment of pairs beside the spread of everything else, within a side and across the sides."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from adaptors.losses.pairwise import EmbeddingLoss
from adaptors.losses.states import cosines

__all__ = ["AlignmentAnisotropyLoss", "log_mean_exp"]


class AlignmentAnisotropyLoss(EmbeddingLoss):
    """Alignment of positives, plus the anisotropy within the sides and across them.

    L = mean over i of (1 - s(q_i, d_i)) / t + w_same (A(Q, Q) + A(D, D)) / 2 + w_cross A(Q, D), where
    A(X, Y) = log mean over i != j of exp(s(x_i, y_j) / t), and s the cosine. D holds the positives, then the negatives.

    Alignment and uniformity are those of Wang and Isola (ICML 2020, section 4.1): on unit vectors the distances there
    are cosines here, with 2 t_there = 1 / t, up to constants. Uniformity within each side and across the sides is the
    loss CUAXU of Fahim et al. (It's Not a Modality Gap, 2024).
    """

    def __init__(self, model: nn.Module, temperature: float = 0.05, same: float = 1.0, *, cross: float = 1.0) -> None:
        """Judge a model.

        Args:
            model: What is trained.
            temperature: t.
            same: w_same, the weight of query with query and document with document.
            cross: w_cross, the weight of query with document.
        """
        super().__init__(model)
        self.temperature = temperature
        self.same = same
        self.cross = cross

    def compute_loss_from_embeddings(self, embeddings: Sequence[Tensor], labels: Tensor | None = None) -> Tensor:
        """Return the loss of anchors, positives and perhaps negatives, each `(B, D)`."""
        queries, documents = embeddings[0], torch.cat(list(embeddings[1:]))
        across = cosines(queries, documents) / self.temperature
        alignment = (1 / self.temperature - across.diagonal()).mean()
        within = [log_mean_exp(cosines(side) / self.temperature) for side in (queries, documents)]
        return alignment + self.same * torch.stack(within).mean() + self.cross * log_mean_exp(across)


def log_mean_exp(scores: Tensor) -> Tensor:
    """Return the logarithm of the mean of exp over all of `(N, M)` but its diagonal; 0 where nothing else is there."""
    rows, columns = scores.shape
    if scores.numel() == min(rows, columns):
        return scores.sum() * 0
    diagonal = torch.eye(rows, columns, dtype=torch.bool, device=scores.device)
    others = scores.masked_fill(diagonal, -torch.inf)
    return others.flatten().logsumexp(dim=0) - math.log(scores.numel() - min(rows, columns))
