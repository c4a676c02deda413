"""The training of a tuned encoder, for its model card and description."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from adaptors.encoders.description import TrainedOn
from adaptors.finetuning.loss_catalog import TUNING_LOSSES, WRAPPERS
from adaptors.finetuning.options import TuneOptions
from adaptors.finetuning.rounds import Round
from adaptors.rows.load import TuningData
from adaptors.training.epochs import best_epoch
from probe.data.dataset import Dataset

__all__ = ["describe_tuning", "trained_on"]


def trained_on(data: TuningData) -> TrainedOn:
    """Return the training data of an encoder tuned on rows."""
    if data.corpus is not None:
        return TrainedOn("tuned", tuple(_seen(data.name, data.corpus)), data.corpus.split)
    return TrainedOn("tuned", ((data.name, _digest(data)),), data.name)


def _digest(data: TuningData) -> str:
    """Return the sha256 of a file of rows, or of rows in memory."""
    if not data.file:
        return hashlib.sha256(repr(data.rows).encode()).hexdigest()
    with Path(data.file).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _seen(name: str, corpus: Dataset) -> Iterator[tuple[str, str]]:
    """Yield name and hash of the texts; for images and captions, of both sides, with the split in the name."""
    if not corpus.images:
        yield name, corpus.documents.text_hash
        return
    for side in (corpus.documents, corpus.queries):
        yield f"{name} ({corpus.split})", side.text_hash


def describe_tuning(data: TuningData, options: TuneOptions, rounds: Sequence[Round]) -> str:
    """Return the model card section on the rows, options and rounds of the training, in Markdown."""
    lines = [
        f"{_weights(options)} trained on {data.name} ({len(data.rows):,} labelled rows).",
        _loss(options),
        _schedule(options),
        _mining(options, rounds),
        f"The cross-encoder `{options.cross_encoder}` scored the rows." if options.cross_encoder else "",
        _choice(options, rounds),
        _images(data),
        _judgements(data),
    ]
    return "## Tuned\n\n" + " ".join(line for line in lines if line) + "\n"


def _weights(options: TuneOptions) -> str:
    scope = options.scope
    of = f" of the {scope.tower} tower" if scope.tower else ""
    last = scope.last_blocks
    blocks = "every block" if not last else "the last block" if last == 1 else f"the last {last} blocks"
    decay = scope.layer_decay
    slower = f", with layer-wise learning-rate decay {decay:g}," if decay < 1 else ""
    if scope.lora is not None:
        return f"LoRA matrices of rank {scope.lora} in the linear maps of {blocks}{of}{slower} were"
    weights = f"The weights of {blocks}{of} and of the modules after them" if last else f"All weights{of}"
    return f"{weights}{slower} were"


def _loss(options: TuneOptions) -> str:
    goal = options.goal
    around = "".join(f", inside `{name}` ({WRAPPERS[name].formula})" for name in goal.wrap)
    given = "".join(f", {name} {getattr(goal.settings, name)}" for name in sorted(goal.settings.given()))
    return f"Loss: `{goal.loss}` ({TUNING_LOSSES[goal.loss].formula}){around}{given}."


def _schedule(options: TuneOptions) -> str:
    schedule = options.schedule
    length = f" of texts of at most {schedule.max_tokens} tokens" if schedule.max_tokens else ""
    return (
        f"Batches of {schedule.batch_size} rows{length}, at most {schedule.epochs} epochs, peak learning rate "
        f"{options.lr:g}, warm-up {schedule.warmup_ratio:g}, seed {schedule.seed}"
        f"{', matrix products in bfloat16' * schedule.bfloat16}."
    )


def _mining(options: TuneOptions, rounds: Sequence[Round]) -> str:
    if not options.rounds:
        return ""
    rows = ", ".join(f"{one.rows:,}" for one in rounds)
    mining = options.mining
    return (
        f"{mining.num_negatives} hard negatives per pair, mined again in each of {options.rounds} rounds ({rows} "
        f"rows) at ranks {mining.range_min + 1} to {mining.range_max}, scored at most {1 - mining.relative_margin:.0%} "
        "of the lowest positive's score."
    )


def _choice(options: TuneOptions, rounds: Sequence[Round]) -> str:
    """Return how the epochs were chosen, and which; rounds have no epochs if no rows were held out."""
    if not all(one.epochs for one in rounds):
        return "No rows were held out: the last epoch was saved."
    by_score = any(epoch.scores for one in rounds for epoch in one.epochs)
    judge = "The highest nDCG@10 of held-out queries" if by_score else "The lowest loss on rows of held-out queries"
    chosen = ", ".join(str(best_epoch(one.epochs)) for one in rounds)
    return f"{judge} ({options.hold_out:.0%} of all queries, not trained on) chose the epoch: {chosen}."


def _images(data: TuningData) -> str:
    if data.corpus is None or not data.corpus.images:
        return ""
    return "The rows are images with captions, one tower for each; the logit scale was not trained."


def _judgements(data: TuningData) -> str:
    known = "those of the file" if data.corpus is None else f"those of the split {data.corpus.split}"
    return f"No relevance labels were read except {known}."
