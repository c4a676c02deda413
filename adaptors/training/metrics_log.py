"""Metrics of a training, step by step: the geometry of a sample, the progress line, the log file."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor, nn
from transformers.trainer_callback import TrainerCallback

from adaptors.training.evaluation import evaluation_mode
from probe.encoding.chunk_states import Progress, silent
from probe.errors import CallError, TrainingError
from probe.metrics.geometry import alignment, effective_rank, mean_cosine, uniformity
from probe.metrics.vectors import Embeddings

__all__ = [
    "Sample",
    "SampleGeometry",
    "StepMetrics",
    "TrainingLog",
    "append_metrics",
    "check_log",
    "continue_log",
    "measure_sample",
    "pair_geometry",
]

_BEGIN = '{"step": '


class SampleGeometry(NamedTuple):
    """Geometry of the vectors of pairs.

    Attributes:
        alignment: Mean squared distance of a pair; 0 where both sides are equal (Wang and Isola, ICML 2020).
        uniformity: Log of the mean of exp(-2 distance^2) over different texts; the lower, the more evenly they fill
            the sphere (Wang and Isola, ICML 2020).
        mean_cosine: Of different texts; 1 where all are alike.
        effective_rank: Directions that are in use; 1 where all are alike (Roy and Vetterli 2007).
    """

    alignment: float
    uniformity: float
    mean_cosine: float
    effective_rank: float


@dataclass(frozen=True)
class StepMetrics:
    """Metrics of a training at a step.

    Attributes:
        step: Steps that were done.
        epoch: Times that all texts were seen.
        loss: Mean since the step logged before.
        rate: Learning rate.
        alignment: As in `SampleGeometry`.
        uniformity: As in `SampleGeometry`.
        mean_cosine: As in `SampleGeometry`.
        effective_rank: As in `SampleGeometry`.
    """

    step: int
    epoch: float
    loss: float
    rate: float
    alignment: float
    uniformity: float
    mean_cosine: float
    effective_rank: float

    def summary(self) -> str:
        """Return the metrics in a few words."""
        return (
            f"loss {self.loss:.3g} align {self.alignment:.3g} uniform {self.uniformity:.3g} "
            f"cosine {self.mean_cosine:.3g} rank {self.effective_rank:.3g}"
        )


def pair_geometry(left: Tensor, right: Tensor) -> SampleGeometry:
    """Measure pairs; all but their alignment is measured within each side, and averaged over both.

    Args:
        left: One side `(B, D)`, B >= 2; scaled to length 1.
        right: The other `(B, D)`, row i belonging to row i of the left.

    Returns:
        The measures, in float64.

    Raises:
        CallError: The sides are of other shapes.
    """
    if left.shape != right.shape or left.ndim != 2 or len(left) < 2:
        found = f"{tuple(left.shape)} and {tuple(right.shape)}"
        raise CallError(f"expected two sides of one shape (B, D) with at least 2 rows, found {found}")
    sides = [side.detach().float().cpu().numpy() for side in (left, right)]
    others = (_mean(value, sides) for value in (uniformity, mean_cosine, effective_rank))
    return SampleGeometry(alignment(*sides), *others)


def _mean(value: Callable[[Embeddings], float], sides: Sequence[Embeddings]) -> float:
    return sum(map(value, sides)) / len(sides)


def check_log(file: Path) -> None:
    """Refuse a file that cannot hold a log: it must be new, or the log of an earlier training.

    Raises:
        CallError: There is no folder for it, or it holds something else.
    """
    if file.is_dir():
        raise CallError(f"the log '{file}' is a folder: expected a file")
    if not file.parent.is_dir():
        raise CallError(f"the log '{file}': there is no folder '{file.parent}'; make it first")
    _read(file)


def continue_log(file: Path, step: int) -> int:
    """Open a log for a training: empty where no step is done, else as it is, without a line that was half written.

    Returns:
        The last step in the log; what is done again of it is not written again.

    Raises:
        CallError: The file holds something else.
    """
    lines = _read(file)
    if not step:
        lines = []
    with file.open("ab") as log:
        log.truncate(sum(len(line.encode()) for _, line in lines))
    return lines[-1][0] if lines else 0


def append_metrics(file: Path, facts: StepMetrics) -> None:
    """Add a line to a log; it is in the file when this returns."""
    with file.open("a", encoding="utf-8") as log:
        log.write(json.dumps(asdict(facts)) + "\n")


def _read(file: Path) -> list[tuple[int, str]]:
    """Return the whole lines of a log with their steps."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines(keepends=True) if file.exists() else []
        if lines and not lines[-1].endswith("\n") and _BEGIN.startswith(lines[-1][: len(_BEGIN)]):
            lines.pop()  # half of it was written when the training was killed
        return [(int(json.loads(line)["step"]), line) for line in lines]
    except (ValueError, TypeError, KeyError) as error:
        raise CallError(f"'{file}' holds something else than the log of a training: name another file") from error


# Gives both sides of a fixed sample, each `(B, D)`, as the model embeds it now.
Sample = Callable[[], tuple[Tensor, Tensor]]


def measure_sample(model: nn.Module, sample: Sample, step: int) -> SampleGeometry:
    """Measure a sample as a model in training embeds it; the training goes on as if it had not been.

    Args:
        model: The model.
        sample: Embeds the sample with it; called in eval mode, without gradients and with random states of its own.
        step: Steps that were done, for the message.

    Raises:
        TrainingError: The vectors are not numbers.
    """
    with evaluation_mode(model):
        left, right = sample()
    if not (left.isfinite().all() and right.isfinite().all()):
        raise TrainingError(f"the vectors are not numbers after {step} steps: lower --lr")
    return pair_geometry(left, right)


class TrainingLog(TrainerCallback):
    """Shows every step in the progress line, and what the trainer logs of loss and geometry there and in a file."""

    def __init__(
        self,
        name: str,
        progress: Progress = silent,
        file: Path | None = None,
        *,
        done: int = 0,
        total: Callable[[int], int] | None = None,
    ) -> None:
        """Prepare a log.

        Args:
            name: What the progress line calls the training.
            progress: Called at every step.
            file: Where every log entry is a line of JSON, `StepMetrics` by name; a training that is taken up again
                goes on with it, and any other begins it anew.
            done: Steps of earlier rounds, whose lines stay.
            total: Gives the steps that it will be, after some, where the trainer does not know.

        Raises:
            CallError: The file holds something else, or there is no folder for it.
        """
        if file is not None:
            check_log(file)
        self._name, self._progress, self._file, self._total = name, progress, file, total
        self._shown, self._done, self._written = name, done, 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **options: Any) -> None:
        """Open the file."""
        if self._file is not None:
            self._written = continue_log(self._file, self._done + state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **options: Any) -> None:
        """Show the step; an epoch's last one is logged too."""
        self._progress(self._shown, 1, self._steps(state))
        # A training that is taken up again there begins its means anew.
        if args.eval_steps and state.global_step % args.eval_steps == 0:
            control.should_log = True

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **options: Any) -> None:
        """Show and write a loss with its geometry."""
        if logs is None or "loss" not in logs:
            return
        step = self._done + state.global_step
        geometry = SampleGeometry(*(logs[name] for name in SampleGeometry._fields))
        metrics = StepMetrics(step, state.epoch, logs["loss"], logs["learning_rate"], *geometry)
        if self._file is not None and step > self._written:
            append_metrics(self._file, metrics)
        self._shown = f"{self._name}: {metrics.summary()}"
        self._progress(self._shown, 0, self._steps(state))

    def _steps(self, state: Any) -> int:
        return int(state.max_steps if self._total is None else self._total(state.global_step))
