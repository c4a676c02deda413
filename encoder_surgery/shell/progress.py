"""Progress bars, and the log of our own packages above them."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from encoder_surgery.shell.output import console

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.progress import Progress, TaskID

__all__ = ["working"]

_OWN_LOGGERS = ("probe", "adaptors")


@contextmanager
def working() -> Iterator[Callable[[str, int, int], None]]:
    """Show a progress bar with a rate per step on stderr, and the log of our own packages above it."""
    with _make_bars() as bars:
        steps: dict[str, TaskID] = {}

        def report(step: str, done: int, total: int) -> None:
            """Advance the bar of a step, and show its rate."""
            name, _, words = step.partition(": ")
            if name not in steps or (done and bars.tasks[steps[name]].finished):
                steps[name] = bars.add_task(name, total=total, rate="", words="")
            task = bars.tasks[steps[name]]
            unit = "files" if name == "files" else "steps" if name.startswith("training") else "texts"
            speed = task.finished_speed or task.speed
            shown = f"{speed:.0f} {unit}/s" if speed else ""
            # Where the clock ends a training, it turns out on the way how many steps it will be.
            bars.update(steps[name], total=max(total, task.total or 0), advance=done, rate=shown, words=words)

        with _logging_to(bars.console):
            yield report


def _make_bars() -> "Progress":
    """Return a bar per task; every task has the fields `rate`, beside its bar, and `words`, below all bars."""
    # Defined here because rich.progress is slow to import, and `--help` shows no bar.
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Bars(Progress):
        def get_renderables(self) -> "Iterator[RenderableType]":
            """Yield the bars, then the line of words of each."""
            yield self.make_tasks_table(self.tasks)
            for task in self.tasks:
                if task.fields["words"]:  # on a line of their own they take no room from the bars
                    yield Text(task.fields["words"], no_wrap=True, overflow="ellipsis")

    description, rate = TextColumn("{task.description}"), TextColumn("{task.fields[rate]}")
    columns = (description, BarColumn(), MofNCompleteColumn(), rate, TimeRemainingColumn())
    return Bars(*columns, console=console(stderr=True))


class _ConsoleHandler(logging.Handler):
    """Prints log records as plain lines, above a progress bar."""

    def __init__(self, console: "Console") -> None:
        super().__init__()
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record, a warning marked as one."""
        mark = "warning: " if record.levelno >= logging.WARNING else ""
        self._console.print(mark + record.getMessage(), markup=False, soft_wrap=True)


@contextmanager
def _logging_to(console: "Console") -> Iterator[None]:
    loggers, handler = [logging.getLogger(name) for name in _OWN_LOGGERS], _ConsoleHandler(console)
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)
