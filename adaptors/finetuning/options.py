"""How an encoder is tuned with labels."""

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
        loss: One of `TUNING_LOSSES`, or its class in sentence-transformers; the names of classes with a gradient cache
            and of symmetric ones set `mini_batch` and `symmetric`.
        wrap: Names out of `WRAPPERS` or their classes, the innermost first.
        settings: Their settings.
    """

    loss: str = "infonce"
    wrap: tuple[str, ...] = ()
    settings: LossOptions = field(default_factory=LossOptions)

    def __post_init__(self) -> None:
        """Call losses by the names of the list.

        Raises:
            CallError: There is no such loss or wrapper.
        """
        loss, implied = find_loss(self.loss)
        given = {name: getattr(self.settings, name) for name in self.settings.given()}
        object.__setattr__(self, "loss", loss.name)
        object.__setattr__(self, "wrap", tuple(find_wrapper(name).name for name in self.wrap))
        object.__setattr__(self, "settings", replace(self.settings, **{**implied, **given}))


@dataclass(frozen=True)
class Schedule:
    """How long, how much at a time, and how fast.

    Attributes:
        epochs: Maximum epochs.
        batch_size: Rows per batch.
        lr: Peak learning rate; 2e-5 when left out, 5e-4 for low-rank matrices.
        warmup_ratio: Share of the steps over which it rises; it then falls to 0 linearly.
        max_tokens: Longest input while training; the model's own when left out.
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
        """Refuse numbers that are out of range."""
        check_number("epochs", self.epochs, 1)
        check_number("--batch-size", self.batch_size, 1)
        check_number("--lr", self.lr, above=0)
        check_number("--warmup-ratio", self.warmup_ratio, 0, most=1)
        check_number("--max-tokens", self.max_tokens, 1)
        check_number("seed", self.seed, 0, most=GREATEST_SEED)


@dataclass(frozen=True)
class TuneOptions:
    """How an encoder is tuned.

    Attributes:
        goal: The objective.
        scope: Which weights are trained.
        schedule: How long and how fast.
        rounds: Rounds of mining hard negatives and training on them; 0 trains on the rows as they are.
        mining: How they are mined.
        cross_encoder: Hub id or folder of a cross-encoder that scores the rows first, for losses that distil scores.
        hold_out: Share of the queries that is held out and chooses the epoch; 0 keeps the last epoch.
        checkpoint_dir: Checkpoint folder; an interrupted training resumes from it.
        log: JSONL file of the metrics of every logging step.
        columns: Columns of a file of rows under other names: the usual name, and the file's.
        sample: Whether a sample's vectors before and after the training are kept, to draw its similarities.
        report_to: Experiment tracker, as sentence-transformers' trainer names it.
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
        """Refuse numbers that are out of range."""
        check_number("rounds", self.rounds, 0)
        check_number("hold_out", self.hold_out, 0, most=0.9)

    @classmethod
    def of(cls, **settings: Any) -> "TuneOptions":
        """Return options from settings by name: fields of this class and of its parts, as `adaptors tune` has them.

        Raises:
            CallError: There is no such option, or a value is out of range.
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
    """Yield the names of single settings, groups left out."""
    groups = ("goal", "scope", "schedule", "mining", "settings")
    yield from (one.name for kind in kinds for one in fields(kind) if one.name not in groups)


def _pick(kind: type[_Options], settings: Mapping[str, Any]) -> _Options:
    return kind(**{name: settings[name] for name in _names(kind) if name in settings})
