"""A training's epochs, on stderr and in a model card."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from commands.shell import console

if TYPE_CHECKING:
    from adaptors.epochs import Epoch

__all__ = ["show_epochs", "training_section"]


def show_epochs(epochs: "Sequence[Epoch]") -> None:
    """Print a table of the training, on stderr."""
    from rich import box
    from rich.table import Table

    from adaptors.epochs import epoch_cells

    if not epochs:
        return
    header, rows = epoch_cells(epochs)
    table = Table(box=box.SIMPLE_HEAD)
    for name in header:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*row)
    console(stderr=True).print(table)


def training_section(epochs: "Sequence[Epoch]") -> str:
    """Return a section of a card: every epoch of a training, or nothing where there is none."""
    from adaptors.epochs import epoch_cells

    if not epochs:
        return ""
    header, rows = epoch_cells(epochs)
    lines = [header, ["---:"] * len(header), *rows]
    return "\n## Training\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
