"""Distillation of a teacher's vectors and of its similarities within a batch."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

__all__ = ["HealLoss"]


class HealLoss(nn.Module):
    """Distance to the teacher's vectors, and to its similarities within a batch.

    The first term is the mean of `1 - cos(s_i, t_i)`, the second the mean of `(s_i.s_j - t_i.t_j)^2` over all pairs of
    different texts (relational distillation: Park et al., CVPR 2019; similarity-preserving: Tung and Mori, ICCV 2019).
    """

    def __init__(self, model: nn.Module, weight: float = 1.0) -> None:
        """Teach a model.

        Args:
            model: Gives `sentence_embedding` `(B, F)` for features.
            weight: Of the second term.
        """
        super().__init__()
        self.model = model
        self.weight = weight

    def forward(self, sentence_features: Iterable[dict[str, Tensor]], labels: Tensor) -> dict[str, Tensor]:
        """Return both terms, given one column of features and the teacher's unit vectors `(B, F)`."""
        (features,) = sentence_features
        vectors = normalize(self.model(features)["sentence_embedding"].float(), dim=1)
        apart = (vectors @ vectors.T - labels @ labels.T).square()
        others = ~torch.eye(len(vectors), dtype=torch.bool, device=vectors.device)
        # A batch of a single text has no pair.
        relations = apart[others].sum() / max(1, int(others.sum()))
        return {"distance": (1 - (vectors * labels).sum(dim=1)).mean(), "relations": self.weight * relations}
