"""How an encoder is tuned with labels."""

from dataclasses import dataclass, field
from pathlib import Path

from adaptors.finetuning.loss_spec import LossOptions
from adaptors.finetuning.parameters import Scope
from adaptors.rows.hard_negatives import MineOptions
from probe.encoding.chunk_states import Progress, silent
from probe.errors import GREATEST_SEED, check_number

__all__ = ["Goal", "Schedule", "TuneOptions"]


@dataclass(frozen=True)
class Goal:
    """The objective.

    Attributes:
        loss: One of `TUNING_LOSSES`.
        around: Names out of `WRAPPERS`, the innermost first.
        settings: Their settings.
    """

    loss: str = "infonce"
    around: tuple[str, ...] = ()
    settings: LossOptions = field(default_factory=LossOptions)


@dataclass(frozen=True)
class Schedule:
    """How long, how much at a time, and how fast.

    Attributes:
        epochs: How often every row is seen, at most.
        batch: Rows in a batch.
        rate: Greatest learning rate; 2e-5 when left out, 5e-4 for low-rank matrices.
        warm_up: Share of the steps in which it rises; it falls to 0 in a line after them.
        tokens: Longest text while training; the model's own when left out.
        seed: Of everything that is random.
        bfloat16: Whether the products are computed in bfloat16.
    """

    epochs: int = 3
    batch: int = 32
    rate: float | None = None
    warm_up: float = 0.1
    tokens: int | None = None
    seed: int = 0
    bfloat16: bool = False

    def __post_init__(self) -> None:
        """Refuse numbers that are out of range."""
        check_number("epochs", self.epochs, 1)
        check_number("batch", self.batch, 1)
        check_number("--rate", self.rate, above=0)
        check_number("warm_up", self.warm_up, 0, most=1)
        check_number("tokens", self.tokens, 1)
        check_number("seed", self.seed, 0, most=GREATEST_SEED)


@dataclass(frozen=True)
class TuneOptions:
    """How an encoder is tuned.

    Attributes:
        goal: The objective.
        scope: Which weights are trained.
        schedule: How long and how fast.
        rounds: How often hard negatives are mined and trained on; 0 trains on the rows as they are.
        mining: How they are mined.
        cross_encoder: Hub id or folder of a model that scores the rows first, for losses that distil scores.
        hold_out: Share of the queries that choose the epoch, and are not trained on; 0 keeps the last epoch.
        checkpoints: Folder of the checkpoints of every epoch, from which an interrupted training resumes.
        log: JSONL file of the metrics of every logging step.
        report_to: Tracker of the training, as sentence-transformers' trainer names it.
        progress: Called at every step.
    """

    goal: Goal = field(default_factory=Goal)
    scope: Scope = field(default_factory=Scope)
    schedule: Schedule = field(default_factory=Schedule)
    rounds: int = 0
    mining: MineOptions = field(default_factory=MineOptions)
    cross_encoder: str | None = None
    hold_out: float = 0.1
    checkpoints: Path | None = None
    log: Path | None = None
    report_to: str = "none"
    progress: Progress = silent

    def __post_init__(self) -> None:
        """Refuse numbers that are out of range."""
        check_number("rounds", self.rounds, 0)
        check_number("hold_out", self.hold_out, 0, most=0.9)

    @property
    def rate(self) -> float:
        """The greatest learning rate."""
        if self.schedule.rate is not None:
            return self.schedule.rate
        return 2e-5 if self.scope.lora is None else 5e-4
