"""The epochs of a training, as a table on the console and in a card; and the precision that it computes in."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from encoder_surgery.shell.output import console, say

if TYPE_CHECKING:
    from adaptors.training.epochs import Epoch

__all__ = ["is_fast", "show_epochs", "training_section"]


def is_fast() -> bool:
    """Return whether this machine multiplies bfloat16 natively."""
    import torch

    from probe.models.device import pick_device, pick_dtype

    return pick_dtype("auto", pick_device("auto")) == torch.bfloat16


def show_epochs(epochs: "Sequence[Epoch]") -> None:
    """Print a table of the training, on stderr, and how good it was before and after."""
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


def training_section(epochs: "Sequence[Epoch]") -> str:
    """Return a section of a card: every epoch of a training, or nothing where there is none."""
    from adaptors.training.epochs import epoch_cells

    if not epochs:
        return ""
    header, rows = epoch_cells(epochs)
    lines = [header, ["---:"] * len(header), *rows]
    return "\n## Training\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
