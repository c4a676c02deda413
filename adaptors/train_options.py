"""How a network is trained."""

from dataclasses import dataclass
from pathlib import Path

from probe.states import Progress, silent

__all__ = ["TrainOptions"]


@dataclass(frozen=True)
class TrainOptions:
    """How a network is trained.

    Attributes:
        loss: One of `adaptors.loss_choice.LOSSES`; each kind's own when left out.
        steps: Batches, at most; whole epochs of 30, where there are as many.
        rate: Learning rate of Adam at the first step, from where it falls to 0 in a line.
        seed: Of everything that is random.
        checkpoints: Folder where every epoch is kept, and where an interrupted training is taken up again.
        report_to: What tracks the training, as sentence-transformers' trainer names it.
        progress: Told about every step.
    """

    loss: str | None = None
    steps: int = 300
    rate: float = 1e-3
    seed: int = 0
    checkpoints: Path | None = None
    report_to: str = "none"
    progress: Progress = silent
