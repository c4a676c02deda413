"""What a tuned encoder's card and description say of its training."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from adaptors.folder import TrainedOn
from adaptors.tune_options import TuneOptions
from adaptors.tuning import Round
from adaptors.tuning_catalog import TUNING_LOSSES, WRAPPERS
from adaptors.tuning_data import TuningData

__all__ = ["describe_tuning", "trained_on"]


def trained_on(name: str, data: TuningData) -> TrainedOn:
    """Return what an encoder that was tuned on rows has seen.

    Args:
        name: What the rows were loaded by.
        data: The rows.
    """
    if data.corpus is not None:
        return TrainedOn("tuned", ((data.name, data.corpus.documents.text_hash),), data.corpus.split)
    with Path(name).open("rb") as file:
        return TrainedOn("tuned", ((data.name, hashlib.file_digest(file, "sha256").hexdigest()),), data.name)


def describe_tuning(data: TuningData, options: TuneOptions, rounds: Sequence[Round]) -> str:
    """Return a section of a card.

    Args:
        data: The rows it was trained on.
        options: How.
        rounds: What came of it.

    Returns:
        Markdown.
    """
    goal, schedule = options.goal, options.schedule
    around = "".join(f", inside `{name}` ({WRAPPERS[name].formula})" for name in goal.around)
    given = ", ".join(f"{name} {getattr(goal.settings, name)}" for name in sorted(goal.settings.given() - {"guide"}))
    lines = [
        f"{_what(options)} trained on {data.name} ({len(data.rows):,} rows with judgements or labels).",
        f"Loss: `{goal.loss}` ({TUNING_LOSSES[goal.loss].formula}){around}{f', {given}' if given else ''}.",
        f"Batches of {schedule.batch} rows, at most {schedule.epochs} epochs, learning rate {options.rate:g}, "
        f"warm-up {schedule.warm_up:g}, seed {schedule.seed}.",
        _mining(options, rounds),
        "Held-out queries of the same data chose the epoch." if options.hold_out else "",
        "No test judgement was looked at.",
    ]
    return "## Tuned\n\n" + " ".join(line for line in lines if line) + "\n"


def _what(options: TuneOptions) -> str:
    scope = options.scope
    blocks = f"the last {scope.top} blocks" if scope.top else "every block"
    slower = f", learning {scope.decay:g} times as fast from block to block downward," if scope.decay < 1 else ""
    if scope.lora is not None:
        return f"Low-rank matrices of rank {scope.lora} beside the linear maps of {blocks}{slower} were"
    what = f"The weights of {blocks} and of what comes after them" if scope.top else "All weights"
    return f"{what}{slower} were"


def _mining(options: TuneOptions, rounds: Sequence[Round]) -> str:
    if not options.rounds:
        return ""
    rows = ", ".join(f"{one.rows:,}" for one in rounds)
    mining = options.mining
    return (
        f"{mining.count} hard negatives of every pair, mined anew in each of {options.rounds} rounds ({rows} rows) at "
        f"ranks {mining.skip + 1} to {mining.depth}, below the positive's score by {mining.margin:.0%}."
    )
