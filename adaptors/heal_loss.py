"""What a healed encoder is taught: its teacher's vectors, and how alike its teacher finds texts."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.functional import kl_div, normalize

__all__ = ["HealLoss"]


class HealLoss(nn.Module):
    """Distance to the teacher's vectors, and divergence from its similarities within a batch.

    The first term is `1 - cos(s_i, t_i)`, the second the Kullback-Leibler divergence of the softmax over the
    similarities of a text to the others of its batch at a temperature (relational distillation: Park et al., CVPR
    2019; the softmax as in SEED, Fang et al., ICLR 2021).
    """

    def __init__(self, model: nn.Module, weight: float = 1.0, temperature: float = 0.05) -> None:
        """Teach a model.

        Args:
            model: Gives `sentence_embedding` `(B, F)` for features.
            weight: Of the divergence.
            temperature: Of its softmax.
        """
        super().__init__()
        self.model = model
        self.weight = weight
        self.temperature = temperature

    def forward(self, sentence_features: Iterable[dict[str, Tensor]], labels: Tensor) -> dict[str, Tensor]:
        """Return both terms, given one column of features and the teacher's unit vectors `(B, F)`."""
        (features,) = sentence_features
        vectors = normalize(self.model(features)["sentence_embedding"].float(), dim=1)
        divergence = self._divergence(vectors @ vectors.T, labels @ labels.T)
        return {"distance": (1 - (vectors * labels).sum(dim=1)).mean(), "divergence": self.weight * divergence}

    def _divergence(self, found: Tensor, wanted: Tensor) -> Tensor:
        """Return the mean divergence of rows of similarities `(B, B)`, the diagonal left out."""
        others = ~torch.eye(len(found), dtype=torch.bool, device=found.device)
        found_log, wanted_log = (
            torch.log_softmax(part[others].view(len(found), -1) / self.temperature, dim=1) for part in (found, wanted)
        )
        return kl_div(found_log, wanted_log, log_target=True, reduction="batchmean")
