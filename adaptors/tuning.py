"""Tune an encoder itself on labelled rows, with sentence-transformers' trainer."""

import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import CrossEncoder
from sentence_transformers.sentence_transformer.evaluation import SentenceEvaluator
from sentence_transformers.sentence_transformer.training_args import SentenceTransformerTrainingArguments
from transformers.trainer_callback import EarlyStoppingCallback

from adaptors.checkpoints import check_fingerprint
from adaptors.cross_scores import open_cross_encoder, score_rows
from adaptors.encoder_trainer import EncoderTrainer
from adaptors.epochs import Epoch, read_epochs
from adaptors.finished_round import keep_round, read_round
from adaptors.held_out_rows import HeldOutRows, hold_out
from adaptors.lora import merge_lora
from adaptors.negatives import mine_negatives
from adaptors.row_sample import RowSample
from adaptors.scope import Group, choose_weights
from adaptors.student import Student, cut_texts
from adaptors.training_log import TrainingLog
from adaptors.tune_options import TuneOptions
from adaptors.tuning_catalog import TUNING_LOSSES
from adaptors.tuning_columns import LISTS
from adaptors.tuning_data import TuningData
from adaptors.tuning_fingerprint import fingerprint
from adaptors.tuning_losses import make_tuning_loss
from adaptors.tuning_rows import Row, as_pairs
from adaptors.watching import check_tracking
from probe.errors import CallError, DataError

__all__ = ["Round", "tune"]

_PATIENCE = 2
_LOGS_PER_EPOCH = 5


@dataclass(frozen=True)
class Round:
    """What one round of training came to.

    Attributes:
        rows: Rows it was trained on.
        epochs: Its epochs; 0 is before the first step. Empty where no query was held out.
        notes: What was left out of its rows.
    """

    rows: int
    epochs: tuple[Epoch, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Class:
    """A student among what it learns from, and what it is asked."""

    student: Student
    groups: Sequence[Group]
    held: Sequence[Row]
    evaluator: SentenceEvaluator | None
    options: TuneOptions


def tune(
    student: Student, data: TuningData, corpus: Sequence[str], options: TuneOptions | None = None
) -> tuple[Round, ...]:
    """Train an encoder in place; every round ends as its best epoch left it.

    The best epoch is that of the greatest nDCG@10 on held-out queries; of the least loss on held-out rows where
    labels are scores, which tell no relevant document. It may be the beginning. Two epochs without a better one end
    a round.

    Args:
        student: The encoder.
        data: What it is trained on.
        corpus: Texts of documents: hard negatives and what held-out queries search come from there.
        options: How.

    Returns:
        The rounds, in order; a single one where no negatives are mined.

    Raises:
        CallError: The loss cannot use the rows, an option is out of range, or checkpoints are of another training.
        DataError: A row contradicts another, or too few negatives are found.
        TrainingError: The vectors collapsed, or the loss is not a number.
    """
    options = options or TuneOptions()
    check_tracking(options.report_to)
    make_tuning_loss(options.goal.loss, student.model, options.goal.settings, options.goal.around)
    train, held = hold_out(data.rows, options.hold_out, options.schedule.seed)
    rest = replace(data, rows=tuple(train))
    scorer = _open_scorer(options)
    if not options.rounds and scorer is None:
        _as_dataset(rest, options)
    room = _Class(student, choose_weights(student, options.scope), held, _evaluator(held, corpus, options), options)
    rounds = []
    for number in range(max(1, options.rounds)):
        rows = _mine(room, rest, corpus) if options.rounds else rest
        rows = score_rows(rows, scorer, options.progress) if scorer else rows
        rounds.append(Round(len(rows.rows), _train(room, rows, number), rows.defects if options.rounds else ()))
    for tower in student.towers:
        merge_lora(tower.module)
    student.model.cpu().eval()
    return tuple(rounds)


def _open_scorer(options: TuneOptions) -> CrossEncoder | None:
    if options.cross_encoder is None:
        return None
    if TUNING_LOSSES[options.goal.loss].layout is not LISTS:
        fitting = ", ".join(loss.name for loss in TUNING_LOSSES.values() if loss.layout is LISTS)
        raise CallError(f"'{options.goal.loss}' distils no scores: leave out the cross-encoder, or take {fitting}")
    return open_cross_encoder(options.cross_encoder)


def _evaluator(held: Sequence[Row], corpus: Sequence[str], options: TuneOptions) -> HeldOutRows | None:
    try:
        pairs = as_pairs(held)
    except (CallError, DataError):
        return None
    return HeldOutRows(pairs, corpus, options.schedule.bfloat16) if pairs else None


def _as_dataset(data: TuningData, options: TuneOptions) -> Any:
    name = options.goal.loss
    return TUNING_LOSSES[name].layout.dataset(data, name)


def _mine(room: _Class, data: TuningData, corpus: Sequence[str]) -> TuningData:
    options = room.options
    room.student.model.eval()
    return mine_negatives(data, room.student.model, corpus, options.mining, options.progress)


def _train(room: _Class, data: TuningData, number: int) -> tuple[Epoch, ...]:
    """Train on rows as they are, unless this round was done before."""
    options = room.options
    with tempfile.TemporaryDirectory() as scratch, torch.random.fork_rng():
        folder = options.checkpoints / f"round-{number + 1}" if options.checkpoints else Path(scratch)
        check_fingerprint(folder, fingerprint(room.student, data, options))
        trainer = _make_trainer(room, data, folder, number)
        if (finished := read_round(folder)) is not None:
            trainer.restore(finished[0])
            return finished[1]
        start = {name: tensor.clone() for name, tensor in trainer.trained().items()}
        with cut_texts(room.student.model, options.schedule.tokens):
            trainer.run()
        epochs = read_epochs(trainer.state.log_history, int(trainer.args.save_steps))
        if epochs and max(epochs, key=Epoch.merit).number == 0:
            # The trainer compares the epochs that it saved, and saves none before the first step.
            trainer.restore(start)
        keep_round(folder, trainer.trained(), epochs)
    return epochs


def _make_trainer(room: _Class, data: TuningData, folder: Path, number: int) -> EncoderTrainer:
    options, model, train = room.options, room.student.model, _as_dataset(data, room.options)
    every = math.ceil(len(train) / options.schedule.batch)
    look = RowSample(model, [*room.held, *data.rows])
    name = f"training, round {number + 1}" if options.rounds > 1 else "training the encoder"
    log = TrainingLog(look, name, options.progress, options.log, number * every * options.schedule.epochs)
    trainer = EncoderTrainer(
        model=model,
        args=_arguments(folder, room, every, train.column_names),
        train_dataset=train,
        eval_dataset=_as_dataset(replace(data, rows=tuple(room.held)), options) if _by_loss(room) else None,
        loss=make_tuning_loss(options.goal.loss, model, options.goal.settings, options.goal.around),
        evaluator=room.evaluator,
        callbacks=[log, *([EarlyStoppingCallback(_PATIENCE)] if room.held else [])],
    )
    trainer.groups = room.groups
    return trainer


def _by_loss(room: _Class) -> bool:
    return bool(room.held) and room.evaluator is None


def _arguments(folder: Path, room: _Class, every: int, columns: Sequence[str]) -> SentenceTransformerTrainingArguments:
    options, schedule = room.options, room.options.schedule
    steps, watched = every * schedule.epochs, "steps" if room.held else "no"
    measure = f"eval_{room.evaluator.primary_metric}" if room.evaluator else "eval_loss"
    return SentenceTransformerTrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=schedule.batch,
        per_device_eval_batch_size=schedule.batch,
        max_steps=steps,
        learning_rate=options.rate,
        warmup_steps=round(schedule.warm_up * steps),
        seed=schedule.seed,
        bf16=schedule.bfloat16,
        use_cpu=not torch.cuda.is_available(),
        batch_sampler=TUNING_LOSSES[options.goal.loss].sampler,
        logging_steps=max(1, every // _LOGS_PER_EPOCH),
        logging_nan_inf_filter=False,
        eval_strategy=watched,
        eval_on_start=bool(room.held),
        eval_steps=every,
        save_strategy="steps" if options.checkpoints or room.held else "no",
        save_steps=every,
        save_total_limit=2,
        load_best_model_at_end=bool(room.held),
        # What early stopping has counted so far.
        restore_callback_states_from_checkpoint=True,
        metric_for_best_model=measure,
        greater_is_better=room.evaluator is not None,
        report_to=options.report_to,
        disable_tqdm=True,
        dataloader_pin_memory=False,
        **_sides(room, columns),
    )


def _sides(room: _Class, columns: Sequence[str]) -> Mapping[str, Any]:
    """Say which columns are queries: a fused model needs to know, others have a prompt put before the texts."""
    sides = TUNING_LOSSES[room.options.goal.loss].layout.sides(columns)
    if room.student.is_fused:
        return {"router_mapping": sides}
    prompts = {column: room.student.prompts[side] for column, side in sides.items()}
    return {"prompts": {column: prompt for column, prompt in prompts.items() if prompt}}
