"""Fit a network: initialize it with principal axes and train it on cached states."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import torch

from adaptors.fitting.batches import (
    BatchSchedule,
    StateCollator,
    draw_pairs,
    draw_rankings,
    draw_texts,
    split_pairs,
    split_texts,
)
from adaptors.fitting.closed_form import principal_axes, second_moments, spectral_axes, whiten_targets
from adaptors.fitting.evaluator import HeldOutQueries
from adaptors.fitting.fallback import or_pca
from adaptors.fitting.losses import LossChoice, choose_loss
from adaptors.fitting.options import FitResult, TrainOptions, for_rankings
from adaptors.fitting.states import FitData
from adaptors.fitting.trainer import TrainingTask, fingerprint, train
from adaptors.losses.prefixes import prefix_lengths, ranking_lengths
from adaptors.losses.states import unexplained_variance
from adaptors.modules.base import Network
from adaptors.modules.block_mixing import ScalarMix, describe_shares
from adaptors.modules.linear import LinearOriginal
from adaptors.modules.mlp import Autoencoder, MlpOriginal
from adaptors.modules.registry import NETWORKS
from adaptors.modules.rotation import Rotation

__all__ = ["NETWORK_LOSSES", "draw_schedules", "fit_network", "make_network"]

# Default loss of each kind without and with labels.
NETWORK_LOSSES: dict[str, tuple[str, str]] = {
    **{kind: ("ranking", "infonce") for kind in NETWORKS},
    **{kind: ("similarity", "infonce") for kind in ("linear-original", "mlp-original")},
    "autoencoder": ("reconstruction+similarity", "infonce"),
    "residual": ("matryoshka-adaptor", "matryoshka-adaptor+rank"),
}


def fit_network(kind: str, data: FitData, dims: Sequence[int], *, options: TrainOptions) -> FitResult:
    """Train a network, with relevance labels if the data has them.

    Args:
        kind: One of `NETWORK_LOSSES`.
        data: States to fit to.
        dims: Dimensions; the vectors have the largest, and with labels all are scored at every epoch.
        options: How to train.

    Returns:
        The adaptor; PCA with a note if that ranks held-out texts better than a network taught to rank without labels.

    Raises:
        CallError: The loss does not apply to the kind or the data.
        TrainingError: The training failed.
    """
    labelled, dim = data.labels != "none", max(dims)
    loss = options.loss or NETWORK_LOSSES[kind][labelled]
    choice = choose_loss(loss, labelled)
    is_ranking = choice.form == "rankings" and not issubclass(NETWORKS[kind], LinearOriginal | MlpOriginal)
    options = for_rankings(options) if is_ranking else options
    lengths = ranking_lengths(dim) if is_ranking else prefix_lengths(dim)
    network = make_network(kind, data, dim, seed=options.seed, is_whitened=labelled or is_ranking)
    batches, held_out, evaluator = draw_schedules(data, choice, dims, options=options)
    taught = whiten_targets(data) if choice.form == "rankings" else data
    task = TrainingTask(
        loss=lambda model: choice.make(model, network, lengths),
        train=batches,
        held_out=held_out,
        collator=StateCollator(taught, choice.grades),
        evaluator=evaluator,
        fingerprint=partial(fingerprint, network, taught, replace(options, loss=loss), dims=dims),
    )
    epochs = train(network, task, options)
    # Linear networks are returned as a linear map.
    module = network.flatten() if isinstance(network, Rotation | ScalarMix) else network
    fitted = FitResult(module, epochs, _notes(network, data))
    return or_pca(fitted, taught, lengths, held_out=held_out) if is_ranking else fitted


def make_network(kind: str, data: FitData, dim: int, *, seed: int, is_whitened: bool = False) -> Network:
    """Return an untrained network, initialized with the documents' principal axes or as `spectral`, which scales them.

    The seed is for randomly initialized weights. A rotation scales nothing.
    """
    factory, width = NETWORKS[kind], data.documents.shape[1]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = factory(width, dim, data.widths) if factory.widens else factory(width, dim)  # type: ignore[call-arg]
    prepared = replace(data, documents=network.prepare(data.documents), queries=network.prepare(data.queries))
    if is_whitened and not isinstance(network, Rotation):
        axes, scales = spectral_axes(prepared)
        axes = axes * scales
    else:
        axes = principal_axes(second_moments(prepared.documents))[1]
    network.init_from_axes(axes)
    return network


def draw_schedules(
    data: FitData, choice: LossChoice, dims: Sequence[int], *, options: TrainOptions
) -> tuple[BatchSchedule, BatchSchedule, HeldOutQueries | None]:
    """Return training batches, held-out batches and, with labels, the evaluator on held-out queries."""
    documents, steps, seed = len(data.documents), options.most_steps, options.seed
    if choice.form == "pairs":
        pairs = split_pairs(data, seed)
        return (
            draw_pairs(pairs.train, documents, choice.batch, steps=steps, seed=seed),
            draw_pairs(pairs.held_out, documents, choice.batch, steps=1, seed=seed),
            HeldOutQueries(data, pairs.held_out, dims),
        )
    rows = split_texts(data, seed)
    if choice.form == "rankings":
        return (*draw_rankings(rows, documents, steps, seed=seed), None)
    return (
        draw_texts(rows.train, choice.batch, steps, seed=seed),
        draw_texts(rows.held_out, choice.batch, 1, seed=seed),
        None,
    )


@torch.no_grad()
def _notes(network: Network, data: FitData) -> tuple[str, ...]:
    notes = describe_shares(network, data.documents, [name for name, _ in data.blocks])
    if isinstance(network, Autoencoder):
        unexplained = unexplained_variance(data.documents, network.decode(network(data.documents)))
        notes += (f"variance unexplained {float(unexplained):.4f}",)
    return notes
