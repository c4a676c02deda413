"""A map of the full model's vectors that is trained on relevance labels outside the test split."""

import numpy as np
import torch

from adaptors.candidates.dimensions import Basis
from adaptors.fitting.batches import StateCollator
from adaptors.fitting.closed_form import fit_spectral
from adaptors.fitting.data import FitTexts, find_positives
from adaptors.fitting.losses import choose_loss
from adaptors.fitting.network import draw_schedules
from adaptors.fitting.options import TrainOptions
from adaptors.fitting.states import FitData
from adaptors.fitting.trainer import TrainingTask, train
from adaptors.healing.texts import HealTexts
from adaptors.modules.linear import TrainableProjection
from probe.encoding.chunk_states import Progress, silent
from probe.errors import CallError

__all__ = ["train_labelled_map"]

_LOSS = "infonce"


class _Map(TrainableProjection):
    kind = "labelled map"


def train_labelled_map(
    texts: HealTexts, data: FitTexts, dims: int | None = None, *, seed: int = 0, progress: Progress = silent
) -> Basis:
    """Train a linear map of the full model's vectors on relevance labels.

    A fifth of the queries is held out and chooses the epoch; it is the start if none ranks them better.

    It begins as a `spectral` adaptor, which was better on training queries of SciFact than the identity.

    Args:
        texts: The documents of one data set and its training queries, with the full model's vectors.
        data: The same data set, with labels.
        dims: Number of dimensions; None for all.
        seed: Random seed.
        progress: Called for every training step.

    Raises:
        CallError: There are no labels, or too few queries with labels.
        TrainingError: The training failed.
    """
    states = _states(texts, data)
    network = _Map(fit_spectral(states, dims or states.documents.shape[1]).weight)
    choice, prefix, options = choose_loss(_LOSS, True), (network.dim,), TrainOptions(seed=seed, progress=progress)
    batches, held_out, evaluator = draw_schedules(states, choice, prefix, options=options)
    task = TrainingTask(
        loss=lambda model: choice.make(model, network, prefix),
        train=batches,
        held_out=held_out,
        collator=StateCollator(states),
        evaluator=evaluator,
        fingerprint=dict,
    )
    train(network, task, options)
    return Basis(np.ascontiguousarray(network.weight.detach().numpy().T), states.labels)


def _states(texts: HealTexts, data: FitTexts) -> FitData:
    if data.train is None or not data.labels:
        raise CallError(f"'{data.corpus.name}' was given without relevance labels: expected those of train or dev")
    count, found = len(data.corpus.documents), find_positives(data, data.train)
    return FitData(
        documents=texts.targets[:count],
        queries=texts.targets[count:],
        blocks=(("full model", texts.targets.shape[1]),),
        targets=texts.targets,
        pairs=torch.tensor(found.pairs, dtype=torch.long).reshape(-1, 3),
        labels=data.train.split,
        fitted_on=texts.seen,
        shortage=found.shortage,
    )
