"""Distillation from a teacher's vectors and from its in-batch similarities."""

from collections.abc import Sequence
from typing import Any

import torch
from sentence_transformers.sentence_transformer.losses import EmbedDistillLoss
from torch import Tensor, nn
from torch.nn.functional import normalize

__all__ = ["HealLoss"]


class HealLoss(EmbedDistillLoss):
    """Distance to the teacher's vectors and to its in-batch similarities.

    The first term is sentence-transformers' mean of `1 - cos(s_i, t_i)`, the second the mean of
    `(s_i.s_j - t_i.t_j)^2` over all pairs of different texts (relational distillation: Park et al., CVPR 2019;
    similarity-preserving distillation: Tung and Mori, ICCV 2019).
    """

    def __init__(self, model: nn.Module) -> None:
        """Wrap a model that returns `sentence_embedding` `(B, F)`."""
        super().__init__(model, distance_metric="cosine")  # type: ignore[arg-type]

    def forward(self, *args: Any) -> Any:
        """Return both terms for one column of features and the teacher's unit vectors `(B, F)`.

        The model runs without dropout, because the teacher's vectors have no noise to match. The modules' training
        modes are restored, because the trainer uses them to tell training losses from evaluation losses.
        """
        modes = {module: module.training for module in self.model.modules()}
        self.model.eval()
        try:
            return super().forward(*args)
        finally:
            for module, mode in modes.items():
                module.training = mode

    def compute_loss_from_embeddings(  # type: ignore[override]
        self, embeddings: Sequence[Tensor], teacher_embeddings: Sequence[Tensor]
    ) -> dict[str, Tensor]:
        """Return both terms for one column `(B, F)`."""
        vectors, targets = embeddings[0].float(), teacher_embeddings[0]
        distance = super().compute_loss_from_embeddings([vectors], [targets])
        units = normalize(vectors, dim=1)
        apart = (units @ units.T - targets @ targets.T).square()
        others = ~torch.eye(len(units), dtype=torch.bool, device=units.device)
        # A batch with a single text has no pairs.
        relations = apart[others].sum() / max(1, int(others.sum()))
        return {"distance": distance, "relations": relations}
