"""One round of the tuning of an encoder: its checkpoints, its fingerprint, its epochs."""

import hashlib
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import nn

from adaptors.finetuning.encoder import TrainableEncoder, cut_texts
from adaptors.finetuning.options import Goal, TuneOptions
from adaptors.finetuning.trainer import TuningRun, make_trainer
from adaptors.rows.load import TuningData
from adaptors.rows.rows import Row
from adaptors.training.checkpoints import check_fingerprint, load_finished_round, save_finished_round
from adaptors.training.distributed import on_first
from adaptors.training.epochs import Epoch, best_epoch, read_epochs
from adaptors.training.random_states import kept_random_states
from adaptors.training.trainer import OPTIMIZER

__all__ = ["fingerprint", "train_round"]


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
        with cut_texts(run.encoder.model, options.schedule.tokens):
            trainer.run()
        epochs = read_epochs(trainer.state.log_history, int(trainer.args.save_steps))
        if epochs and best_epoch(epochs) == 0:
            # The trainer compares the epochs that it saved, and saves none before the first step.
            trainer.restore(start)
        on_first(lambda: save_finished_round(folder, trainer.trained(), epochs))
    return epochs, trainer.args.max_steps


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
        "rows": _hash_texts(map(repr, rows)),
        "watched": _hash_texts(map(repr, watched)),
        "weights": _hash_weights(encoder.model),
        "goal": _describe_goal(options.goal),
        "scope": asdict(options.scope),
        "schedule": asdict(options.schedule),
        "hold_out": options.hold_out,
    }


def _describe_goal(goal: Goal) -> dict[str, Any]:
    given = {name: getattr(goal.settings, name) for name in sorted(goal.settings.given())}
    settings = {
        name: _hash_weights(value) if isinstance(value, nn.Module) else str(value) for name, value in given.items()
    }
    return {"loss": goal.loss, "around": list(goal.around), **settings}


def _hash_texts(texts: Iterable[str]) -> str:
    found = hashlib.sha256()
    for text in texts:
        found.update(text.encode())
    return found.hexdigest()


def _hash_weights(model: nn.Module) -> str:
    found = hashlib.sha256()
    for _, tensor in sorted(model.state_dict().items()):
        found.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()
