"""Progress bars with a line of words below them, where a step has some."""

from collections.abc import Iterator

from rich.console import RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

__all__ = ["Bars"]


class Bars(Progress):
    """A bar per task; every task has the fields `rate`, beside its bar, and `words`, below all bars."""

    @classmethod
    def get_default_columns(cls) -> tuple[TextColumn | BarColumn | MofNCompleteColumn | TimeRemainingColumn, ...]:
        """Return the columns of a bar."""
        rate = TextColumn("{task.fields[rate]}")
        return TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), rate, TimeRemainingColumn()

    def get_renderables(self) -> Iterator[RenderableType]:
        """Yield the bars, then the words: in a line of their own they leave the bars their room."""
        yield self.make_tasks_table(self.tasks)
        for task in self.tasks:
            if task.fields["words"]:
                yield Text(task.fields["words"], no_wrap=True, overflow="ellipsis")
