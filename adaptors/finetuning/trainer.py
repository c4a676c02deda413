"""The trainer of one round of tuning: data, loss and arguments."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sentence_transformers.sentence_transformer.training_args import SentenceTransformerTrainingArguments

from adaptors.finetuning.encoder import TrainableEncoder
from adaptors.finetuning.evaluator import HeldOutRows, RowSample
from adaptors.finetuning.loss_build import make_tuning_loss
from adaptors.finetuning.loss_catalog import TUNING_LOSSES
from adaptors.finetuning.options import TuneOptions
from adaptors.finetuning.parameters import TrainedWeights
from adaptors.rows.load import TuningData
from adaptors.rows.rows import Row
from adaptors.training.callbacks import EarlyStopping
from adaptors.training.distributed import world_size
from adaptors.training.metrics_log import TrainingLog
from adaptors.training.trainer import EncoderTrainer, encoder_arguments

__all__ = ["TuningRun", "as_dataset", "make_trainer"]

_PATIENCE = 2
_LOGS_PER_EPOCH = 5


@dataclass(frozen=True)
class TuningRun:
    """Values shared by the rounds of a tuning.

    Attributes:
        encoder: The encoder to train.
        weights: Its weights to train.
        held: Held-out rows.
        evaluator: Evaluator of their queries, if the labels define relevant documents.
        options: Options of the training.
    """

    encoder: TrainableEncoder
    weights: TrainedWeights
    held: Sequence[Row]
    evaluator: HeldOutRows | None
    options: TuneOptions

    @property
    def watched(self) -> list[Row | str]:
        """The held-out rows and documents that choose the epoch."""
        return [*self.held, *(self.evaluator.documents if self.evaluator else ())]


def as_dataset(data: TuningData, options: TuneOptions) -> Any:
    """Return rows in the columns of the loss.

    Raises:
        CallError: The rows lack data that the loss needs.
        DataError: A row contradicts another, or a query has no relevant document.
    """
    name = options.goal.loss
    return TUNING_LOSSES[name].layout.dataset(data, name)


def make_trainer(run: TuningRun, data: TuningData, folder: Path, *, number: int, done: int) -> EncoderTrainer:
    """Return the trainer of a round from its rows, checkpoint folder, and the number of rounds and steps before it."""
    options, model, train = run.options, run.encoder.model, as_dataset(data, run.options)
    every = math.ceil(len(train) / options.schedule.batch_size)
    name = f"training, round {number + 1}" if options.rounds > 1 else "training the encoder"
    log = TrainingLog(name, options.progress, options.log, done=done)
    trainer = EncoderTrainer(
        model=model,
        args=_arguments(folder, run, every, columns=train.column_names),
        train_dataset=train,
        eval_dataset=as_dataset(replace(data, rows=tuple(run.held)), options) if _by_loss(run) else None,
        loss=make_tuning_loss(options.goal.loss, model, options.goal.settings, wrap=options.goal.wrap),
        evaluator=run.evaluator,
        callbacks=[log, *([EarlyStopping(_PATIENCE)] if run.held else [])],
    )
    trainer.sample = RowSample(model, [*run.held, *data.rows])
    return trainer


def _by_loss(run: TuningRun) -> bool:
    return bool(run.held) and run.evaluator is None


def _arguments(
    folder: Path, run: TuningRun, every: int, *, columns: Sequence[str]
) -> SentenceTransformerTrainingArguments:
    options, schedule = run.options, run.options.schedule
    steps, watched = every * schedule.epochs, "steps" if run.held else "no"
    measure = f"eval_{run.evaluator.primary_metric}" if run.evaluator else "eval_loss"
    return encoder_arguments(
        folder,
        per_device_train_batch_size=schedule.batch_size,
        per_device_eval_batch_size=schedule.batch_size,
        max_steps=steps,
        learning_rate=options.lr,
        learning_rate_mapping=run.weights.learning_rates(options.lr),
        warmup_steps=round(schedule.warmup_ratio * steps),
        seed=schedule.seed,
        bf16=schedule.bfloat16,
        batch_sampler=TUNING_LOSSES[options.goal.loss].layout.sampler,
        logging_steps=max(1, every // _LOGS_PER_EPOCH),
        eval_strategy=watched,
        eval_on_start=bool(run.held),
        eval_steps=every,
        save_strategy="steps" if options.checkpoint_dir or run.held else "no",
        save_steps=every,
        load_best_model_at_end=bool(run.held),
        # Restores the counter of early stopping.
        restore_callback_states_from_checkpoint=True,
        metric_for_best_model=measure,
        greater_is_better=run.evaluator is not None,
        report_to=options.report_to,
        # For several processes: the base trainer requires it, and EncoderTrainer unsets it; all trained parameters are
        # used, and encoders have no running statistics.
        dataloader_drop_last=world_size() > 1,
        ddp_find_unused_parameters=False,
        ddp_broadcast_buffers=False,
        **_sides(run, columns),
    )


def _sides(run: TuningRun, columns: Sequence[str]) -> Mapping[str, Any]:
    """Return which columns are queries for a fused model, or the prompts of the columns for other models."""
    sides = TUNING_LOSSES[run.options.goal.loss].layout.sides(columns)
    if run.encoder.is_fused:
        return {"router_mapping": sides}
    prompts = {column: run.encoder.prompts[side] for column, side in sides.items()}
    return {"prompts": {column: prompt for column, prompt in prompts.items() if prompt}}
