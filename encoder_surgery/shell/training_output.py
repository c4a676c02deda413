"""The epochs of a training as a table on the console."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from encoder_surgery.shell.output import console, say

if TYPE_CHECKING:
    from adaptors.training.epochs import Epoch

__all__ = ["show_epochs"]


def show_epochs(epochs: "Sequence[Epoch]") -> None:
    """Print a table of the epochs, and the score before and after the training, on stderr."""
    from rich import box
    from rich.table import Table

    from adaptors.training.epochs import describe_choice, epoch_cells

    if not epochs:
        return
    header, rows = epoch_cells(epochs)
    table = Table(box=box.SIMPLE_HEAD)
    for name in header:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*row)
    console(stderr=True).print(table)
    say(describe_choice(epochs))
