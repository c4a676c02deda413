"""`distil`: a linear map to few dimensions, trained without labels to rank like the full model in all dimensions."""

from dataclasses import replace
from functools import partial

import torch

from adaptors.fitting.batches import BatchSchedule, StateCollator, draw_rankings, split_texts
from adaptors.fitting.closed_form import fit_lens, spectral_axes, whiten_targets
from adaptors.fitting.fallback import or_pca
from adaptors.fitting.options import FitResult, TrainOptions, for_rankings
from adaptors.fitting.states import FitData
from adaptors.fitting.trainer import TrainingTask, fingerprint, train
from adaptors.losses.prefixes import ranking_lengths
from adaptors.losses.states import RankingDistillationLoss
from adaptors.modules.linear import Projection, TrainableProjection
from adaptors.training.epochs import Epoch

__all__ = ["fit_distil"]

# Number of input axes, as a multiple of the output dimensions.
_AXES = 1.25

# Batches to train on, and the one held out.
_Drawn = tuple[BatchSchedule, BatchSchedule]


class _LinearMap(TrainableProjection):
    kind = "distil"


def fit_distil(data: FitData, dim: int, options: TrainOptions) -> FitResult:
    """Train a linear map whose prefixes rank documents like the final embeddings.

    The teacher is the full-width `spectral` map of the final embeddings; each anchor (a query or a document) defines a
    softmax over candidate documents. On final embeddings the map starts as `spectral`; on inner layers it starts as the
    ridge regression to the teacher's first dimensions, because their own axes say little about the teacher. The
    training minimizes the Kullback-Leibler divergence to the teacher, summed over prefixes (as in Matryoshka
    representation learning, Kusupati et al., NeurIPS 2022).

    Spectra are shrunk where texts are few, so the teacher tends to the frozen encoder. The map of the epoch that ranks
    held-out texts best is kept, which may be the start; PCA is returned if it ranks them better still.

    Args:
        data: States to fit to; their relevance labels are not used.
        dim: Dimensions to keep.
        options: How to train; the loss is fixed.

    Returns:
        The projection; a note says if it is PCA.

    Raises:
        TrainingError: The training failed.
    """
    options = for_rankings(options)
    whitened, rows = whiten_targets(data), split_texts(data, options.seed)
    drawn = draw_rankings(rows, len(data.documents), options.most_steps, seed=options.seed)
    fitted = _fit(whitened, dim, options, drawn=drawn, is_final=data.is_final)
    return or_pca(fitted, whitened, ranking_lengths(dim), held_out=drawn[1])


def _fit(whitened: FitData, dim: int, options: TrainOptions, *, drawn: _Drawn, is_final: bool) -> FitResult:
    if is_final:
        axes, scales = spectral_axes(whitened)
        axes = axes[:, : round(dim * _AXES)]
        network = _LinearMap(torch.diag(scales)[: axes.shape[1], :dim], torch.zeros(dim) if options.bias else None)
        # Training on fewer axes is faster.
        rotated = replace(whitened, documents=whitened.documents @ axes, queries=whitened.queries @ axes)
        epochs = _train(network, rotated, options, drawn=drawn)
        return FitResult(
            Projection.of(axes @ network.weight.detach(), network.bias.detach()), epochs, options.bias_notes
        )
    lens = fit_lens(whitened, dim, bias=options.bias)
    network = _LinearMap(lens.weight, lens.bias if options.bias else None)
    epochs = _train(network, whitened, options, drawn=drawn)
    return FitResult(Projection.of(network.weight.detach(), network.bias.detach()), epochs, options.bias_notes)


def _train(network: _LinearMap, data: FitData, options: TrainOptions, *, drawn: _Drawn) -> tuple[Epoch, ...]:
    batches, held_out = drawn
    task = TrainingTask(
        loss=lambda model: RankingDistillationLoss(model, ranking_lengths(network.dim)),
        train=batches,
        held_out=held_out,
        collator=StateCollator(data),
        evaluator=None,
        fingerprint=partial(fingerprint, network, data, options),
    )
    return train(network, task, options)
