"""The tuning of an encoder in rounds: held-out rows, checkpoints, fingerprint and epochs."""

import tempfile
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import CrossEncoder
from torch import nn

from adaptors.finetuning.checks import check_rows, check_tuning
from adaptors.finetuning.encoder import TrainableEncoder, cut_texts
from adaptors.finetuning.evaluator import HeldOutRows, hold_out
from adaptors.finetuning.loss_catalog import WRAPPERS
from adaptors.finetuning.options import Goal, TuneOptions
from adaptors.finetuning.parameters import TrainedWeights, choose_weights
from adaptors.finetuning.trainer import TuningRun, as_dataset, make_trainer
from adaptors.finetuning.two_towers import PairedModel
from adaptors.rows.cross_encoder import open_cross_encoder, score_rows
from adaptors.rows.hard_negatives import mine_negatives
from adaptors.rows.load import TuningData
from adaptors.rows.rows import Row, as_pairs, texts_of
from adaptors.training.checkpoints import (
    check_fingerprint,
    hash_model,
    hash_texts,
    load_finished_round,
    save_finished_round,
)
from adaptors.training.distributed import init, is_first, on_first
from adaptors.training.epochs import Epoch, best_epoch, read_epochs
from adaptors.training.memory import bounded
from adaptors.training.trainer import OPTIMIZER, EncoderTrainer
from probe.encoding.chunk_states import silent
from probe.errors import CallError, DataError
from probe.layers.random_states import kept_random_states

__all__ = ["Round", "fingerprint", "train_round", "train_rounds"]

# With fewer held-out rows, the choice of an epoch is noise.
_FEWEST_HELD = 20


@dataclass(frozen=True)
class Round:
    """Result of one round of training.

    Attributes:
        rows: Number of training rows.
        epochs: Its epochs; 0 is before the first step. Empty if no query was held out.
        notes: Notes on skipped rows.
    """

    rows: int
    epochs: tuple[Epoch, ...]
    notes: tuple[str, ...] = ()


def train_rounds(
    encoder: TrainableEncoder, data: TuningData, corpus: Sequence[str], *, options: TuneOptions | None = None
) -> tuple[Round, ...]:
    """Train an encoder in place; every round ends with the weights of its best epoch.

    The best epoch has the highest nDCG@10 on held-out queries, or the lowest loss on held-out rows if the labels are
    scores, which do not define relevant documents. It may be the start. A round stops after two epochs without
    improvement. Several processes share every batch; only the first one mines, ranks, writes and reports.

    Args:
        encoder: The encoder.
        data: Training rows.
        corpus: Texts of documents, for hard negatives and for the search with held-out queries.
        options: Options of the training.

    Returns:
        The rounds, in order; a single one without mining.

    Raises:
        CallError: The loss cannot use the rows, an option is out of range, or the checkpoints are from another
            training.
        DataError: A row contradicts another, or too few negatives are found.
        TrainingError: The vectors collapsed, or the loss is not finite.
    """
    init()
    options = options or TuneOptions()
    if not is_first():
        options = replace(options, log=None, progress=silent)
    check_tuning(encoder, options)
    check_rows(encoder, data)
    if isinstance(encoder.model, PairedModel):
        encoder.model.know([*texts_of(data.rows), *corpus])
    scorer = None if options.cross_encoder is None else open_cross_encoder(options.cross_encoder)
    rest, held, notes = _split(data, options)
    if not options.rounds and scorer is None:
        as_dataset(rest, options)
    run = TuningRun(encoder, _choose(encoder, options), held, _evaluator(held, corpus), options)
    rounds: list[Round] = []
    done = 0
    for _ in range(max(1, options.rounds)):
        rows = _mine(run, rest, corpus) if options.rounds else rest
        rows = _score(rows, scorer, options) if scorer else rows
        epochs, steps = train_round(run, rows, len(rounds), done=done)
        rounds.append(Round(len(rows.rows), epochs, (*notes, *rows.defects) if options.rounds else notes))
        done += steps
    run.weights.merge_adapters()
    encoder.model.cpu().eval()
    return tuple(rounds)


def _choose(encoder: TrainableEncoder, options: TuneOptions) -> TrainedWeights:
    """Make weights trainable; LoRA matrices are initialized randomly."""
    with kept_random_states():
        torch.manual_seed(options.schedule.seed)
        return choose_weights(encoder, options.scope)


def _split(data: TuningData, options: TuneOptions) -> tuple[TuningData, list[Row], tuple[str, ...]]:
    """Hold rows out; if they cannot choose an epoch, train on all rows and add a note."""
    train, held = hold_out(data.rows, options.hold_out, options.schedule.seed)
    if held and _evaluator(held, ()) is None:
        try:
            as_dataset(replace(data, rows=tuple(held)), options)
        except (CallError, DataError) as error:
            reason = str(error).splitlines()[-1]
            return data, [], (f"no rows are held out, and the last epoch is saved: of the held-out rows, {reason}",)
    return replace(data, rows=tuple(train)), held, _warn_of_few(held)


def _warn_of_few(held: Sequence[Row]) -> tuple[str, ...]:
    """Return a note on held-out rows that are too few to choose an epoch reliably."""
    if not 0 < len(held) < _FEWEST_HELD:
        return ()
    rows = "1 held-out row" if len(held) == 1 else f"{len(held)} held-out rows"
    return (f"warning: the epoch is chosen on {rows} only: expect chance to decide",)


def _evaluator(held: Sequence[Row], corpus: Sequence[str]) -> HeldOutRows | None:
    try:
        pairs = as_pairs(held)
    except (CallError, DataError):
        return None
    return HeldOutRows(pairs, corpus) if pairs else None


def _score(data: TuningData, scorer: CrossEncoder, options: TuneOptions) -> TuningData:
    return on_first(lambda: score_rows(data, scorer, options.progress))


def _mine(run: TuningRun, data: TuningData, corpus: Sequence[str]) -> TuningData:
    options = run.options
    run.encoder.model.eval()
    return on_first(
        lambda: mine_negatives(data, run.encoder.model, corpus, options=options.mining, progress=options.progress)
    )


def train_round(run: TuningRun, data: TuningData, number: int, *, done: int) -> tuple[tuple[Epoch, ...], int]:
    """Train one round on rows without mining, unless its checkpoints show that it is finished.

    Args:
        run: The tuning run.
        data: Training rows of the round.
        number: Number of rounds before.
        done: Number of steps before.

    Returns:
        Its epochs, and its maximum number of steps.

    Raises:
        CallError: The checkpoint folder belongs to another training.
        TrainingError: The vectors collapsed, or the loss is not finite.
    """
    options = run.options
    with tempfile.TemporaryDirectory() as scratch, kept_random_states():
        folder = (
            options.checkpoint_dir / f"round-{number + 1}"
            if options.checkpoint_dir
            else on_first(lambda: Path(scratch))
        )
        if options.checkpoint_dir is not None:
            on_first(
                lambda: check_fingerprint(folder, fingerprint(run.encoder, data.rows, run.watched, options=options))
            )
        trainer = make_trainer(run, data, folder, number=number, done=done)
        if (finished := load_finished_round(folder)) is not None:
            trainer.restore(finished[0])
            return finished[1], trainer.args.max_steps
        start = {name: tensor.clone() for name, tensor in trainer.trained().items()}
        with cut_texts(run.encoder.model, options.schedule.max_tokens), _bounded(run, data, trainer, say=not number):
            trainer.run()
        epochs = read_epochs(trainer.state.log_history, int(trainer.args.save_steps))
        if epochs and best_epoch(epochs) == 0:
            # The trainer compares only saved epochs, and does not save before the first step.
            trainer.restore(start)
        on_first(lambda: save_finished_round(folder, trainer.trained(), epochs))
    return epochs, trainer.args.max_steps


def _bounded(run: TuningRun, data: TuningData, trainer: EncoderTrainer, *, say: bool) -> AbstractContextManager[None]:
    """Keep the memory of a round within bounds."""
    loss: Any = trainer.loss
    goal, rows = run.options.goal, run.options.schedule.batch_size
    if getattr(loss, "uses_gradient_cache", False):
        rows = min(rows, int(getattr(loss, "mini_batch_size", rows)))
    train = as_dataset(data, run.options)
    columns = [] if run.encoder.is_paired else [list(train[name]) for name in train.column_names]
    splits = not run.encoder.is_fused and not any(WRAPPERS[name].reads_blocks for name in goal.wrap)
    return bounded(run.encoder.model, columns, rows, splits=splits, say=say and is_first())


def fingerprint(
    encoder: TrainableEncoder, rows: Sequence[Row], watched: Sequence[Row | str], *, options: TuneOptions
) -> dict[str, Any]:
    """Return plain values that are equal only for trainings that may share checkpoints.

    Args:
        encoder: The encoder before the training.
        rows: Training rows.
        watched: Held-out rows, and the documents they search.
        options: Options of the training.
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
    return {"loss": goal.loss, "wrap": list(goal.wrap), **settings}
