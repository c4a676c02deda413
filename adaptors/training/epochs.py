"""Losses and scores of a training run by epoch."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

__all__ = ["Epoch", "best_epoch", "describe_choice", "epoch_cells", "epochs_section", "read_epochs"]

_SCORE = "eval_ndcg@10_"


@dataclass(frozen=True)
class Epoch:
    """Losses and scores of one epoch.

    Attributes:
        number: Epoch number; 0 is before the first step.
        train_loss: Mean over its batches; None for epoch 0.
        held_out_loss: Loss on held-out texts; None if held-out queries are scored instead.
        scores: nDCG@10 on held-out training queries, by dimension; empty without labels.
    """

    number: int
    train_loss: float | None
    held_out_loss: float | None
    scores: Mapping[int, float]


def best_epoch(epochs: Sequence[Epoch]) -> int:
    """Return the number of the epoch with the highest mean score or, without scores, the lowest held-out loss."""

    def rating(epoch: Epoch) -> float:
        """Return the mean score or the negative loss."""
        value = -(epoch.held_out_loss or 0.0) if not epoch.scores else sum(epoch.scores.values()) / len(epoch.scores)
        return -math.inf if math.isnan(value) else value

    return max(epochs, key=rating).number


def describe_choice(epochs: Sequence[Epoch]) -> str:
    """Return a sentence on the improvement on held-out data, or an empty string without epochs."""
    if not epochs:
        return ""
    best, start = next(epoch for epoch in epochs if epoch.number == best_epoch(epochs)), epochs[0]
    name, before, after = "loss", start.held_out_loss, best.held_out_loss
    if start.scores:
        name = "nDCG@10"
        before, after = (sum(epoch.scores.values()) / len(epoch.scores) for epoch in (start, best))
    if best is start:
        return f"no epoch improved on the start (held-out {name} {before:.4f}), so the initial weights were kept"
    return f"held-out {name}: {before:.4f} before training, {after:.4f} after epoch {best.number} (kept)"


def read_epochs(log: Sequence[Mapping[str, float]], steps: int) -> tuple[Epoch, ...]:
    """Return the epochs in the trainer's log, given the number of steps per epoch."""
    losses = {int(entry["step"]): entry["loss"] for entry in log if "loss" in entry}
    # A loss is the mean since the previous log entry; the last one of an epoch may cover fewer steps.
    spans = {at: at - before for before, at in pairwise((0, *losses))}
    epochs = []
    for entry in log:
        scores = {int(key[len(_SCORE) :]): entry[key] for key in entry if key.startswith(_SCORE)}
        if scores or "eval_loss" in entry:
            step = int(entry["step"])
            inside = [at for at in losses if step - steps < at <= step]
            mean = sum(spans[at] * losses[at] for at in inside) / sum(spans[at] for at in inside) if inside else None
            epochs.append(Epoch(step // steps, mean, entry.get("eval_loss"), scores))
    return tuple(epochs)


def epoch_cells(epochs: Sequence[Epoch]) -> tuple[list[str], list[list[str]]]:
    """Return the header and the rows of a table of epochs as text."""
    dims = list(epochs[0].scores) if epochs else []
    header = ["epoch", "train loss", "held-out loss", *(f"nDCG@10 {dim}" for dim in dims)]
    rows = [
        [
            str(epoch.number),
            *("–" if loss is None else f"{loss:.5g}" for loss in (epoch.train_loss, epoch.held_out_loss)),
            *(f"{epoch.scores[dim]:.4f}" for dim in dims),
        ]
        for epoch in epochs
    ]
    return header, rows


def epochs_section(epochs: Sequence[Epoch]) -> str:
    """Return a section of a card with every epoch of a training, in Markdown; nothing where there is none."""
    if not epochs:
        return ""
    header, rows = epoch_cells(epochs)
    lines = [header, ["---:"] * len(header), *rows]
    return "\n## Training\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
