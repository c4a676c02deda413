"""Options for tuning an encoder with labels."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from adaptors.finetuning.loss_catalog import find_loss, find_wrapper
from adaptors.finetuning.loss_spec import LossOptions
from adaptors.finetuning.parameters import Scope
from adaptors.rows.hard_negatives import MineOptions
from probe.encoding.chunk_states import Progress, silent
from probe.errors import GREATEST_SEED, CallError, check_number, did_you_mean

__all__ = ["Goal", "Schedule", "TuneOptions"]

_Options = TypeVar("_Options")


@dataclass(frozen=True)
class Goal:
    """The objective.

    Attributes:
        loss: One of `TUNING_LOSSES`, or its class in sentence-transformers; class names with a gradient cache and
            symmetric ones set `mini_batch` and `symmetric`.
        wrap: Names from `WRAPPERS` or their classes, innermost first.
        settings: Settings of the loss and its wrappers.
    """

    loss: str = "infonce"
    wrap: tuple[str, ...] = ()
    settings: LossOptions = field(default_factory=LossOptions)

    def __post_init__(self) -> None:
        """Replace class names by the names of the list.

        Raises:
            CallError: The loss or a wrapper does not exist.
        """
        loss, implied = find_loss(self.loss)
        wrap = (self.wrap,) if isinstance(self.wrap, str) else self.wrap
        given = {name: getattr(self.settings, name) for name in self.settings.given()}
        object.__setattr__(self, "loss", loss.name)
        object.__setattr__(self, "wrap", tuple(find_wrapper(name).name for name in wrap))
        object.__setattr__(self, "settings", replace(self.settings, **{**implied, **given}))


@dataclass(frozen=True)
class Schedule:
    """Duration, batches and learning rate.

    Attributes:
        epochs: Maximum epochs.
        batch_size: Rows per batch.
        lr: Peak learning rate; default: 2e-5, or 5e-4 for LoRA.
        warmup_ratio: Share of the steps for warm-up, followed by a linear decay to 0.
        max_tokens: Maximum input length while training; default: the model's own.
        seed: Random seed.
        bfloat16: Whether matrix products are computed in bfloat16.
    """

    epochs: int = 3
    batch_size: int = 32
    lr: float | None = None
    warmup_ratio: float = 0.1
    max_tokens: int | None = None
    seed: int = 0
    bfloat16: bool = False

    def __post_init__(self) -> None:
        """Check that the numbers are in range."""
        check_number("--epochs", self.epochs, 1)
        check_number("--batch-size", self.batch_size, 1)
        check_number("--lr", self.lr, above=0)
        check_number("--warmup-ratio", self.warmup_ratio, 0, most=1)
        check_number("--max-tokens", self.max_tokens, 1)
        check_number("--seed", self.seed, 0, most=GREATEST_SEED)


@dataclass(frozen=True)
class TuneOptions:
    """Options for tuning an encoder.

    Attributes:
        goal: The objective.
        scope: The weights to train.
        schedule: Duration, batches and learning rate.
        rounds: Rounds of mining hard negatives and training on them; 0 trains on the rows without mining.
        mining: How hard negatives are mined.
        cross_encoder: Hub id or folder of a cross-encoder that scores the rows first, for distillation losses.
        hold_out: Share of the queries held out to choose the epoch; 0 saves the last epoch.
        checkpoint_dir: Checkpoint folder; an interrupted training resumes from it.
        log: JSONL file for the metrics of every logging step.
        columns: Column names of a file of rows, by accepted name.
        sample: Whether to return a sample's vectors before and after the training, to plot their similarities.
        report_to: Experiment tracker, by its name in sentence-transformers' trainer.
        progress: Called at every step.
    """

    goal: Goal = field(default_factory=Goal)
    scope: Scope = field(default_factory=Scope)
    schedule: Schedule = field(default_factory=Schedule)
    rounds: int = 0
    mining: MineOptions = field(default_factory=MineOptions)
    cross_encoder: str | None = None
    hold_out: float = 0.1
    checkpoint_dir: Path | None = None
    log: Path | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    sample: bool = False
    report_to: str = "none"
    progress: Progress = silent

    def __post_init__(self) -> None:
        """Check that the numbers are in range."""
        check_number("--rounds", self.rounds, 0)
        check_number("--hold-out", self.hold_out, 0, most=0.9)

    @classmethod
    def of(cls, **settings: Any) -> "TuneOptions":
        """Return options from single settings: fields of this class and of its parts, named as in `adaptors tune`.

        Raises:
            CallError: An option does not exist, or a value is out of range.
        """
        known = [*_names(cls, LossOptions, Goal, Scope, Schedule, MineOptions)]
        for name in settings:
            if name not in known:
                raise CallError(f"unknown option '{name}': {did_you_mean(name, known)}")
        goal = {name: settings[name] for name in ("loss", "wrap") if name in settings}
        return replace(
            _pick(cls, settings),
            goal=Goal(**goal, settings=_pick(LossOptions, settings)),
            scope=_pick(Scope, settings),
            schedule=_pick(Schedule, settings),
            mining=_pick(MineOptions, settings),
        )

    @property
    def lr(self) -> float:
        """The peak learning rate."""
        if self.schedule.lr is not None:
            return self.schedule.lr
        return 2e-5 if self.scope.lora is None else 5e-4


def _names(*kinds: Any) -> Iterator[str]:
    """Yield the names of single settings, without groups."""
    groups = ("goal", "scope", "schedule", "mining", "settings")
    yield from (one.name for kind in kinds for one in fields(kind) if one.name not in groups)


def _pick(kind: type[_Options], settings: Mapping[str, Any]) -> _Options:
    return kind(**{name: settings[name] for name in _names(kind) if name in settings})
