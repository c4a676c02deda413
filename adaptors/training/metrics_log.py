"""Training metrics by step: geometry of a sample, progress line, log file."""

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
    """Geometry of the vectors of text pairs.

    Attributes:
        alignment: Mean squared distance of pairs; 0 if both sides are equal (Wang and Isola, ICML 2020).
        uniformity: Log of the mean of exp(-2 distance^2) over different texts; lower means more uniform on the sphere
            (Wang and Isola, ICML 2020).
        mean_cosine: Mean cosine of different texts; 1 if all vectors are equal.
        effective_rank: Effective number of dimensions; 1 if all vectors are equal (Roy and Vetterli 2007).
    """

    alignment: float
    uniformity: float
    mean_cosine: float
    effective_rank: float


@dataclass(frozen=True)
class StepMetrics:
    """Metrics of a training run at a step.

    Attributes:
        step: Number of completed steps.
        epoch: Number of passes over the training texts.
        loss: Mean since the previous log entry.
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
        """Return the metrics in one short line."""
        return (
            f"loss {self.loss:.3g} align {self.alignment:.3g} uniform {self.uniformity:.3g} "
            f"cosine {self.mean_cosine:.3g} rank {self.effective_rank:.3g}"
        )


def pair_geometry(left: Tensor, right: Tensor) -> SampleGeometry:
    """Measure the geometry of pairs; all but the alignment is measured per side and averaged.

    Args:
        left: One side `(B, D)`, B >= 2; unit vectors.
        right: The other side `(B, D)`; row i is paired with row i of the left side.

    Returns:
        The measures, in float64.

    Raises:
        CallError: The shapes are wrong or differ.
    """
    if left.shape != right.shape or left.ndim != 2 or len(left) < 2:
        found = f"{tuple(left.shape)} and {tuple(right.shape)}"
        raise CallError(f"expected two sides of the same shape (B, D) with at least 2 rows, found {found}")
    sides = [side.detach().float().cpu().numpy() for side in (left, right)]
    others = (_mean(value, sides) for value in (uniformity, mean_cosine, effective_rank))
    return SampleGeometry(alignment(*sides), *others)


def _mean(value: Callable[[Embeddings], float], sides: Sequence[Embeddings]) -> float:
    return sum(map(value, sides)) / len(sides)


def check_log(file: Path) -> None:
    """Check that a log file is new or the log of an earlier training.

    Raises:
        CallError: Its folder does not exist, or the file is something else.
    """
    if file.is_dir():
        raise CallError(f"the log '{file}' is a folder: expected a file")
    if not file.parent.is_dir():
        raise CallError(f"the log '{file}': there is no folder '{file.parent}'; create it first")
    _read(file)


def continue_log(file: Path, step: int) -> int:
    """Prepare a log for a training: emptied for a new one, kept for a resumed one, without an incomplete last line.

    Returns:
        The last step in the log; steps up to it are not written again.

    Raises:
        CallError: The file is not a training log.
    """
    lines = _read(file)
    if not step:
        lines = []
    with file.open("ab") as log:
        log.truncate(sum(len(line.encode()) for _, line in lines))
    return lines[-1][0] if lines else 0


def append_metrics(file: Path, facts: StepMetrics) -> None:
    """Append a line to a log; it is written when this returns."""
    with file.open("a", encoding="utf-8") as log:
        log.write(json.dumps(asdict(facts)) + "\n")


def _read(file: Path) -> list[tuple[int, str]]:
    """Return the complete lines of a log with their steps."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines(keepends=True) if file.exists() else []
        if lines and not lines[-1].endswith("\n") and _BEGIN.startswith(lines[-1][: len(_BEGIN)]):
            lines.pop()  # incomplete: the training was killed while writing it
        return [(int(json.loads(line)["step"]), line) for line in lines]
    except (ValueError, TypeError, KeyError) as error:
        raise CallError(f"'{file}' exists and is not a training log: choose another file") from error


# Returns both sides of a fixed sample, each `(B, D)`, as the model embeds it now.
Sample = Callable[[], tuple[Tensor, Tensor]]


def measure_sample(model: nn.Module, sample: Sample, step: int) -> SampleGeometry:
    """Measure the geometry of a sample during training, without side effects on the training.

    Args:
        model: The model.
        sample: Embeds the sample with the model; called in eval mode, without gradients, with separate random states.
        step: Number of completed steps, for the message.

    Raises:
        TrainingError: The vectors are not finite.
    """
    with evaluation_mode(model):
        left, right = sample()
    if not (left.isfinite().all() and right.isfinite().all()):
        raise TrainingError(f"the vectors contain NaN or infinity after {step} steps: lower --lr")
    return pair_geometry(left, right)


class TrainingLog(TrainerCallback):
    """Report every step, loss and geometry in the progress line, and log loss and geometry to a file."""

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
            name: Name of the training in the progress line.
            progress: Called at every step.
            file: JSON lines file, one `StepMetrics` object per entry; appended to by a resumed training, overwritten
                by a new one.
            done: Steps of earlier rounds, whose lines are kept.
            total: Returns the expected number of steps, given the completed ones; default: the trainer's.

        Raises:
            CallError: The file is not a training log, or its folder does not exist.
        """
        if file is not None:
            check_log(file)
        self._name, self._progress, self._file, self._total = name, progress, file, total
        self._shown, self._done, self._written = name, done, 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **options: Any) -> None:
        """Open the log file."""
        if self._file is not None:
            self._written = continue_log(self._file, self._done + state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **options: Any) -> None:
        """Report the step; the last one of an epoch is logged too."""
        self._progress(self._shown, 1, self._steps(state))
        # A training resumed there starts a new mean.
        if args.eval_steps and state.global_step % args.eval_steps == 0:
            control.should_log = True

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **options: Any) -> None:
        """Report and write a loss with its geometry."""
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
