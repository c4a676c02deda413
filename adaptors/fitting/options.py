"""The options of a fit, and its result."""

from dataclasses import dataclass
from pathlib import Path

from adaptors.modules.base import Adaptor
from adaptors.training.epochs import Epoch
from probe.encoding.chunk_states import Progress, silent
from probe.errors import GREATEST_SEED, check_number

__all__ = ["FitResult", "TrainOptions"]


@dataclass(frozen=True)
class TrainOptions:
    """How a network is trained.

    Attributes:
        loss: One of `adaptors.fitting.losses.LOSSES`; default: the kind's own.
        steps: Maximum number of batches, rounded down to whole epochs of 30 batches if there are that many.
        rate: Initial learning rate of Adam, with linear decay to 0.
        seed: Random seed.
        checkpoints: Folder for one checkpoint per epoch; an interrupted training resumes from it.
        report_to: Experiment tracker, by its name in transformers.
        progress: Called for every step.
    """

    loss: str | None = None
    steps: int = 300
    rate: float = 1e-3
    seed: int = 0
    checkpoints: Path | None = None
    report_to: str = "none"
    progress: Progress = silent

    def __post_init__(self) -> None:
        """Check that the numbers are in range."""
        check_number("steps", self.steps, 1)
        check_number("rate", self.rate, above=0)
        check_number("seed", self.seed, 0, most=GREATEST_SEED)


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
