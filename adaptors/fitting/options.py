"""The options of a fit, and its result."""

from dataclasses import dataclass, replace
from pathlib import Path

from adaptors.modules.base import Adaptor
from adaptors.training.epochs import Epoch
from probe.encoding.chunk_states import Progress, silent
from probe.errors import GREATEST_SEED, check_number

__all__ = ["FitResult", "TrainOptions", "for_rankings", "usual_dims"]

_STEPS, _RATE = 300, 1e-3
# For rankings taught without labels. Chosen on training queries of two data sets.
_RANKING_STEPS, _RANKING_RATE = 150, 4e-3


@dataclass(frozen=True)
class TrainOptions:
    """How an adaptor is fitted or trained.

    Attributes:
        loss: One of `adaptors.fitting.losses.LOSSES`; default: the kind's own.
        steps: Maximum number of batches, rounded down to whole epochs of 30 batches if there are that many; default:
            300, or 150 for rankings taught without labels.
        lr: Initial learning rate of Adam, with linear decay to 0; default: 0.001, or 0.004 for rankings taught without
            labels.
        seed: Random seed.
        checkpoint_dir: Folder for one checkpoint per epoch; an interrupted training resumes from it.
        report_to: Experiment tracker, by its name in transformers.
        progress: Called for every step.
        bias: Whether a linear map to the final embedding has a bias. Without one, servers read its folder that have no
            normalization before a linear map.
    """

    loss: str | None = None
    steps: int | None = None
    lr: float | None = None
    seed: int = 0
    checkpoint_dir: Path | None = None
    report_to: str = "none"
    progress: Progress = silent
    bias: bool = True

    def __post_init__(self) -> None:
        """Check that the numbers are in range."""
        if self.steps is not None:
            check_number("--steps", self.steps, 1)
        if self.lr is not None:
            check_number("--lr", self.lr, above=0)
        check_number("--seed", self.seed, 0, most=GREATEST_SEED)

    @property
    def most_steps(self) -> int:
        """Maximum number of batches."""
        return self.steps or _STEPS

    @property
    def rate(self) -> float:
        """Initial learning rate."""
        return self.lr or _RATE

    @property
    def bias_notes(self) -> tuple[str, ...]:
        """Note for the table footer and the model card on a map without a bias."""
        return () if self.bias else ("fitted without a bias",)


@dataclass(frozen=True)
class FitResult:
    """A fitted adaptor with facts about the fit.

    Attributes:
        module: The adaptor.
        epochs: Losses and scores by epoch, if it was trained.
        notes: Sentences for the table footer: weights of hookpoints, unexplained variance.
    """

    module: Adaptor
    epochs: tuple[Epoch, ...] = ()
    notes: tuple[str, ...] = ()


def for_rankings(options: TrainOptions) -> TrainOptions:
    """Return options with the defaults of rankings taught without labels."""
    return replace(options, steps=options.steps or _RANKING_STEPS, lr=options.lr or _RANKING_RATE)


def usual_dims(width: int) -> tuple[int, ...]:
    """Return the dimensions that are tried unless others are named: all of them, a half, a quarter."""
    return tuple(dict.fromkeys(max(1, width // part) for part in (1, 2, 4)))
