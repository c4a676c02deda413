"""What a training came to, epoch by epoch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Epoch", "epoch_cells", "read_epochs"]

_SCORE = "eval_ndcg@10_"


@dataclass(frozen=True)
class Epoch:
    """One epoch.

    Attributes:
        number: 0 is before the first step.
        train_loss: Mean over its batches; None at the beginning.
        held_out_loss: On held-out texts.
        scores: nDCG@10 on held-out training queries, by dimension; empty without labels.
    """

    number: int
    train_loss: float | None
    held_out_loss: float
    scores: Mapping[int, float]

    def merit(self) -> float:
        """Return what the best epoch has most of."""
        return sum(self.scores.values()) / len(self.scores) if self.scores else -self.held_out_loss


def read_epochs(log: Sequence[Mapping[str, float]], steps: int) -> tuple[Epoch, ...]:
    """Read what the trainer logged.

    Args:
        log: Its entries.
        steps: Batches in an epoch.

    Returns:
        The epochs, in order.
    """
    losses = {int(entry["step"]): entry["loss"] for entry in log if "loss" in entry}
    return tuple(
        Epoch(
            number=int(entry["step"]) // steps,
            train_loss=losses.get(int(entry["step"])),
            held_out_loss=entry["eval_loss"],
            scores={int(key[len(_SCORE) :]): entry[key] for key in entry if key.startswith(_SCORE)},
        )
        for entry in log
        if "eval_loss" in entry
    )


def epoch_cells(epochs: Sequence[Epoch]) -> tuple[list[str], list[list[str]]]:
    """Return the header and the rows of a table of epochs, as text."""
    dims = list(epochs[0].scores) if epochs else []
    header = ["epoch", "train loss", "held-out loss", *(f"nDCG@10 {dim}" for dim in dims)]
    rows = [
        [
            str(epoch.number),
            "–" if epoch.train_loss is None else f"{epoch.train_loss:.5g}",
            f"{epoch.held_out_loss:.5g}",
            *(f"{epoch.scores[dim]:.4f}" for dim in dims),
        ]
        for epoch in epochs
    ]
    return header, rows
