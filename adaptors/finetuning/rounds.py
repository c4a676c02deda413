"""One round of the tuning of an encoder: its checkpoints, its fingerprint, its epochs."""

import tempfile
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import nn

from adaptors.finetuning.encoder import TrainableEncoder, cut_texts
from adaptors.finetuning.options import Goal, TuneOptions
from adaptors.finetuning.trainer import TuningRun, as_dataset, make_trainer
from adaptors.rows.load import TuningData
from adaptors.rows.rows import Row
from adaptors.training.checkpoints import (
    check_fingerprint,
    hash_model,
    hash_texts,
    load_finished_round,
    save_finished_round,
)
from adaptors.training.distributed import is_first, on_first
from adaptors.training.epochs import Epoch, best_epoch, read_epochs
from adaptors.training.memory import bounded
from adaptors.training.trainer import OPTIMIZER, EncoderTrainer
from probe.layers.random_states import kept_random_states

__all__ = ["fingerprint", "train_round"]

# They read the blocks' states themselves, of whole batches.
_READ_BLOCKS = frozenset({"matryoshka-2d", "adaptive-layer"})


def train_round(run: TuningRun, data: TuningData, number: int, *, done: int) -> tuple[tuple[Epoch, ...], int]:
    """Train on rows as they are, unless this round was done before.

    Args:
        run: The tuning it is a round of.
        data: Its rows.
        number: Rounds before it.
        done: Steps before it.

    Returns:
        Its epochs, and its steps at most.

    Raises:
        CallError: The folder of checkpoints belongs to another training.
        TrainingError: The vectors collapsed, or the loss is not a number.
    """
    options = run.options
    with tempfile.TemporaryDirectory() as scratch, kept_random_states():
        folder = options.checkpoints / f"round-{number + 1}" if options.checkpoints else on_first(lambda: Path(scratch))
        on_first(lambda: check_fingerprint(folder, fingerprint(run.encoder, data.rows, run.watched, options=options)))
        trainer = make_trainer(run, data, folder, number=number, done=done)
        if (finished := load_finished_round(folder)) is not None:
            trainer.restore(finished[0])
            return finished[1], trainer.args.max_steps
        start = {name: tensor.clone() for name, tensor in trainer.trained().items()}
        with cut_texts(run.encoder.model, options.schedule.tokens), _bounded(run, data, trainer, say=not number):
            trainer.run()
        epochs = read_epochs(trainer.state.log_history, int(trainer.args.save_steps))
        if epochs and best_epoch(epochs) == 0:
            # The trainer compares the epochs that it saved, and saves none before the first step.
            trainer.restore(start)
        on_first(lambda: save_finished_round(folder, trainer.trained(), epochs))
    return epochs, trainer.args.max_steps


def _bounded(run: TuningRun, data: TuningData, trainer: EncoderTrainer, *, say: bool) -> AbstractContextManager[None]:
    """Keep the memory of a round within bounds."""
    loss: Any = trainer.loss
    goal, rows = run.options.goal, run.options.schedule.batch
    if getattr(loss, "uses_gradient_cache", False):
        rows = min(rows, int(getattr(loss, "mini_batch_size", rows)))
    train = as_dataset(data, run.options)
    columns = [] if run.encoder.is_paired else [list(train[name]) for name in train.column_names]
    splits = not run.encoder.is_fused and not _READ_BLOCKS & {goal.loss, *goal.around}
    return bounded(run.encoder.model, columns, rows, splits=splits, say=say and is_first())


def fingerprint(
    encoder: TrainableEncoder, rows: Sequence[Row], watched: Sequence[Row | str], *, options: TuneOptions
) -> dict[str, Any]:
    """Return plain values that are equal only for trainings that may share checkpoints.

    Args:
        encoder: The encoder before the training.
        rows: Training rows.
        watched: Held-out rows, and the texts that they are searched among.
        options: Of the training.
    """
    return {
        "optimizer": OPTIMIZER,
        "rows": hash_texts(map(repr, rows)),
        "watched": hash_texts(map(repr, watched)),
        "encoder": hash_model(encoder.model),
        "prompts": dict(encoder.prompts),
        "goal": _describe_goal(options.goal),
        "scope": asdict(options.scope),
        "schedule": asdict(options.schedule),
        "hold_out": options.hold_out,
    }


def _describe_goal(goal: Goal) -> dict[str, Any]:
    given = {name: getattr(goal.settings, name) for name in sorted(goal.settings.given())}
    settings = {
        name: hash_model(value) if isinstance(value, nn.Module) else str(value) for name, value in given.items()
    }
    return {"loss": goal.loss, "around": list(goal.around), **settings}
