"""Tune an encoder itself on labelled rows, with sentence-transformers' trainer."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from sentence_transformers import CrossEncoder

from adaptors.finetuning.checks import check_rows, check_tuning
from adaptors.finetuning.encoder import TrainableEncoder
from adaptors.finetuning.evaluator import HeldOutRows, hold_out
from adaptors.finetuning.options import TuneOptions
from adaptors.finetuning.parameters import TrainedWeights, choose_weights
from adaptors.finetuning.rounds import train_round
from adaptors.finetuning.trainer import TuningRun, as_dataset
from adaptors.finetuning.two_towers import PairedModel
from adaptors.rows.cross_encoder import open_cross_encoder, score_rows
from adaptors.rows.hard_negatives import mine_negatives
from adaptors.rows.load import TuningData
from adaptors.rows.rows import Row, as_pairs, texts_of
from adaptors.training.distributed import init, is_first, on_first
from adaptors.training.epochs import Epoch
from probe.encoding.chunk_states import silent
from probe.errors import CallError, DataError
from probe.layers.random_states import kept_random_states

__all__ = ["Round", "tune"]


@dataclass(frozen=True)
class Round:
    """Result of one round of training.

    Attributes:
        rows: Rows it was trained on.
        epochs: Its epochs; 0 is before the first step. Empty where no query was held out.
        notes: On rows that were left out.
    """

    rows: int
    epochs: tuple[Epoch, ...]
    notes: tuple[str, ...] = ()


def tune(
    encoder: TrainableEncoder, data: TuningData, corpus: Sequence[str], *, options: TuneOptions | None = None
) -> tuple[Round, ...]:
    """Train an encoder in place; every round ends as its best epoch left it.

    The best epoch is that of the greatest nDCG@10 on held-out queries; of the least loss on held-out rows where
    labels are scores, which tell no relevant document. It may be the beginning. Two epochs without a better one end
    a round. Several processes share every batch: the first one alone mines, ranks, writes and reports.

    Args:
        encoder: The encoder.
        data: Training rows.
        corpus: Texts of documents: hard negatives and what held-out queries search come from there.
        options: Of the training.

    Returns:
        The rounds, in order; a single one where no negatives are mined.

    Raises:
        CallError: The loss cannot use the rows, an option is out of range, or checkpoints are of another training.
        DataError: A row contradicts another, or too few negatives are found.
        TrainingError: The vectors collapsed, or the loss is not a number.
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
        rounds.append(Round(len(rows.rows), epochs, rows.defects if options.rounds else notes))
        done += steps
    run.weights.merge_adapters()
    encoder.model.cpu().eval()
    return tuple(rounds)


def _choose(encoder: TrainableEncoder, options: TuneOptions) -> TrainedWeights:
    """Make weights trainable; low-rank matrices begin at random."""
    with kept_random_states():
        torch.manual_seed(options.schedule.seed)
        return choose_weights(encoder, options.scope)


def _split(data: TuningData, options: TuneOptions) -> tuple[TuningData, list[Row], tuple[str, ...]]:
    """Hold rows out, unless there is nothing to choose an epoch by: say so, and train on all."""
    train, held = hold_out(data.rows, options.hold_out, options.schedule.seed)
    if held and _evaluator(held, ()) is None:
        try:
            as_dataset(replace(data, rows=tuple(held)), options)
        except (CallError, DataError) as error:
            reason = str(error).splitlines()[-1]
            return data, [], (f"nothing is held out, and the last epoch is kept: of the rows to hold out, {reason}",)
    return replace(data, rows=tuple(train)), held, ()


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
