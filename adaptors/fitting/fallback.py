"""PCA in place of a training without labels that ranks held-out texts no better."""

from collections.abc import Sequence

import torch

from adaptors.fitting.batches import BatchSchedule, StateCollator
from adaptors.fitting.closed_form import fit_pca
from adaptors.fitting.options import FitResult
from adaptors.fitting.states import FitData
from adaptors.losses.states import RankingDistillationLoss
from adaptors.modules.base import Adaptor
from adaptors.modules.st_module import AdaptorModule

__all__ = ["or_pca", "ranking_divergence"]


def or_pca(fitted: FitResult, data: FitData, dims: Sequence[int], *, held_out: BatchSchedule) -> FitResult:
    """Return a trained adaptor or, if that ranks more like the teacher on held-out texts, PCA with a note.

    The teacher is the frozen encoder on shrunk axes (`whiten_targets`), which tends to the frozen encoder itself where
    texts are few.

    Args:
        fitted: The adaptor, taught to rank like the targets.
        data: The states of its fit; the targets are the teacher's vectors.
        dims: The prefixes it was trained for.
        held_out: The batch that chose the best epoch; no step was taken on its anchors.

    Returns:
        The adaptor, or PCA with as many dimensions; the adaptor if the states have fewer.
    """
    if fitted.module.dim > data.documents.shape[1]:  # wider than the states, as some final embeddings are
        return fitted
    pca = fit_pca(data, fitted.module.dim)
    own, rival = (ranking_divergence(adaptor, data, dims, held_out=held_out) for adaptor in (fitted.module, pca))
    if own < rival:
        return fitted
    note = (
        f"replaced by pca: rankings of held-out texts diverge from the teacher's by {own:.4f} after training, and by "
        f"{rival:.4f} with pca"
    )
    return FitResult(pca, notes=(note,))


@torch.no_grad()
def ranking_divergence(adaptor: Adaptor, data: FitData, dims: Sequence[int], *, held_out: BatchSchedule) -> float:
    """Return the divergence of an adaptor's rankings from the targets' on held-out texts, summed over dimensions."""
    batch = StateCollator(data)([{column: rows[0] for column, rows in held_out.items()}])
    columns = [
        {key.removeprefix(f"{column}_"): batch[key] for key in batch if key.startswith(f"{column}_")}
        for column in held_out
    ]
    return float(RankingDistillationLoss(AdaptorModule(adaptor), dims)(columns))
