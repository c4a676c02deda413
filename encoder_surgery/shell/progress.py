"""Progress of a command on stderr: bars in a terminal, otherwise periodic lines; and the log of the packages."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from encoder_surgery.shell.log_lines import CacheLines, Verbosity, log_to, verbosity
from encoder_surgery.shell.output import console
from encoder_surgery.shell.process import Terminated

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.progress import Progress, TaskID

__all__ = ["SECONDS_BETWEEN_LINES", "StepLines", "working"]

SECONDS_BETWEEN_LINES = 30.0
_TRAINING = "training"
# Units of steps that are not counted in texts.
_UNITS = {"files": "files", "starts": "starts"}

# Called with a step's name, the work done since the last call, and the total.
Report = Callable[[str, int, int], None]


@contextmanager
def working(checkpoints: Path | None = None, steps: Path | None = None) -> Iterator[Report]:
    """Show the progress of every step and the log of the packages on stderr.

    A terminal shows a bar per step. Without a terminal a line every 30 seconds shows the progress of the step;
    `--quiet` shows neither. An interruption gets a note on what was saved.

    Args:
        checkpoints: Checkpoint folder of the training, if any.
        steps: Folder of the finished steps of a command that continues from them, if any.

    Yields:
        A function of a step's name, the work done since the last call, and the total. Text after ': ' in the name may
        change between calls.
    """
    screen = console(stderr=True)
    say = partial(screen.print, markup=False, soft_wrap=True)
    cache, trained = CacheLines(say), False
    try:
        with _show_steps(screen, say, cache) as show, log_to(say, cache):

            def report(step: str, done: int, total: int) -> None:
                """Show the progress of a step."""
                nonlocal trained
                trained = trained or step.startswith(_TRAINING)
                show(step, done, total)

            yield report
            cache.close()
    except (KeyboardInterrupt, Terminated) as error:
        found = steps is not None and steps.is_dir()
        kept = f"finished steps are in {steps}; the same command continues"
        error.add_note(kept if found else _describe_saved(cache, trained, checkpoints))
        raise


def _show_steps(screen: "Console", say: Callable[[str], None], cache: CacheLines) -> AbstractContextManager[Report]:
    if verbosity() == Verbosity.QUIET:
        return nullcontext(lambda step, done, total: None)
    return _show_bars(screen) if screen.is_terminal else _show_lines(say, cache)


@contextmanager
def _show_bars(screen: "Console") -> Iterator[Report]:
    """Show a bar with a rate per step."""
    with _make_bars(screen) as bars:
        steps: dict[str, TaskID] = {}

        def report(step: str, done: int, total: int) -> None:
            """Advance the bar of a step, and show its rate."""
            name, _, words = step.partition(": ")
            if name not in steps or (done and bars.tasks[steps[name]].finished):
                steps[name] = bars.add_task(name, total=total, rate="", words="")
            task = bars.tasks[steps[name]]
            unit = _UNITS.get(name.partition(" (")[0], "steps" if name.startswith(_TRAINING) else "texts")
            speed = task.finished_speed or task.speed
            shown = f"{speed:.0f} {unit}/s" if speed else ""
            # With a time limit the number of training steps is an estimate that changes during the training.
            bars.update(steps[name], total=max(total, task.total or 0), advance=done, rate=shown, words=words)

        yield report


def _make_bars(screen: "Console") -> "Progress":
    """Return a bar per task; every task has the fields `rate`, shown beside its bar, and `words`, below all bars."""
    # Defined here because rich.progress is slow to import, and `--help` shows no bar.
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Bars(Progress):
        def get_renderables(self) -> "Iterator[RenderableType]":
            """Yield the bars, then the text line of each."""
            yield self.make_tasks_table(self.tasks)
            for task in self.tasks:
                if task.fields["words"]:  # on a separate line, so that the bars keep their width
                    yield Text(task.fields["words"], no_wrap=True, overflow="ellipsis")

    description, rate = TextColumn("{task.description}"), TextColumn("{task.fields[rate]}")
    columns = (description, BarColumn(), MofNCompleteColumn(), rate, TimeRemainingColumn())
    return Bars(*columns, console=screen)


@contextmanager
def _show_lines(say: Callable[[str], None], cache: CacheLines) -> Iterator[Report]:
    """Show periodic lines."""

    def say_all(line: str) -> None:
        """Print the cache messages held back, then a line."""
        cache.flush()
        say(line)

    yield StepLines(say_all).report


@dataclass
class _Step:
    """Progress of a step now, and at its last measurement of the rate."""

    done: int
    total: int
    since: float
    done_then: int


class StepLines:
    """Prints the progress, rate and time left of the running step every 30 seconds."""

    def __init__(self, say: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        """Pass lines to `say`; `clock` returns seconds."""
        self._say, self._clock = say, clock
        self._steps: dict[str, _Step] = {}
        self._said = clock()

    def report(self, step: str, done: int, total: int) -> None:
        """Advance a step, and print its progress if the last line is old enough."""
        name, _, words = step.partition(": ")
        now, known = self._clock(), self._steps.get(name)
        if known is None or (done and known.done >= known.total):
            # The time before the first report does not count for the rate: models were loaded then.
            known = self._steps[name] = _Step(done, total, now, done)
        else:
            known.done, known.total = known.done + done, max(known.total, total)
        if now - self._said >= SECONDS_BETWEEN_LINES and known.done < known.total:
            self._say(" ".join(filter(None, [_describe_step(name, known, now), words])))
            self._said, known.since, known.done_then = now, now, known.done


def _describe_step(name: str, step: _Step, now: float) -> str:
    """Return the progress of a step: `documents: 12,400 of 57,638 (212/s, 3 min left)`."""
    line = f"{name}: {step.done:,} of {step.total:,}"
    new, seconds = step.done - step.done_then, now - step.since
    if new <= 0 or seconds <= 0:
        return line
    rate = new / seconds
    shown = f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"
    return f"{line} ({shown}/s, {_describe_time((step.total - step.done) / rate)} left)"


def _describe_time(seconds: float) -> str:
    """Return a duration in the most suitable unit."""
    if seconds < 60:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _describe_saved(cache: CacheLines, trained: bool, checkpoints: Path | None) -> str:
    """Return what an interrupted command saved, and how to continue."""
    if trained:
        return _describe_training(cache, checkpoints)
    done, total = cache.count()
    if not done:
        return "nothing was saved"
    if done < total:
        return f"{done} of {total} chunks are cached; the same command continues"
    return "all vectors encoded so far are cached; the same command continues"


def _describe_training(cache: CacheLines, checkpoints: Path | None) -> str:
    if checkpoints is not None:
        from adaptors.training.checkpoints import has_checkpoint

        if has_checkpoint(checkpoints):
            return f"the last checkpoint is in {checkpoints}; the same command continues"
        return "no checkpoint was written yet, so the training starts again"
    if cache.count()[0]:
        return "the encoded vectors are cached, but nothing of the training was saved"
    return "nothing was saved"
