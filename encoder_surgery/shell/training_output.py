"""The output of a training: its epochs as a table, its picture, the folder of the trained encoder."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

import typer

from encoder_surgery.shell.output import check_file, check_plot, console, saving, say

if TYPE_CHECKING:
    from torch import Tensor

    from adaptors.finetuning.encoder import TrainableEncoder
    from adaptors.finetuning.saved import Tuned
    from adaptors.training.epochs import Epoch
    from adaptors.training.metrics_log import Sample
    from probe.encoding.encoder import Encoder

    Pair = tuple[Tensor, Tensor]

__all__ = ["Target", "check_target", "draw", "is_fast", "save_and_print", "show_epochs", "training_section"]


@dataclass(frozen=True)
class Target:
    """Destination of a trained encoder.

    Attributes:
        out: Folder to make.
        force: Replace one that an earlier save made.
        picture: Where a batch's similarities are drawn, if anywhere.
    """

    out: Path
    force: bool
    picture: Path | None


def check_target(target: Target, log: Path | None) -> None:
    """Refuse files and folders that cannot be written, before the work."""
    from surgery.saving.save import check_out

    check_out(target.out, target.force)
    check_file("--log", log, (".jsonl",))
    check_plot(target.picture, "--similarity-map")


def draw(target: Target, before: "Pair | None", look: "Sample", *, sides: tuple[str, str]) -> None:
    """Draw a sample's similarities before and after the training, where asked for."""
    if target.picture is None or before is None:
        return
    from adaptors.training.similarity_map import similarity_map

    with saving(target.picture):
        similarity_map(before, look(), target.picture, sides=sides)


def save_and_print(tuned: "Tuned", target: Target, base: str) -> None:
    """Save a trained encoder, check it in a fresh process, and print its folder."""
    from adaptors.finetuning.saved import save_tuned

    say(f"saving {target.out} and checking it in a fresh process")
    save_tuned(tuned, target.out, target.force, check=partial(_check, tuned.encoder))
    reading = (
        f"probe layers --model {target.out}@image" if tuned.encoder.is_paired else f"probe rank {base} {target.out}"
    )
    say(f"what it brought: {reading} --dataset D")
    typer.echo(target.out)


def _check(encoder: "TrainableEncoder", folder: Path) -> None:
    from surgery.saving.fresh_process import check_encoder, check_pair

    model = cast("Encoder", encoder.model)
    if encoder.is_paired:
        check_pair(folder, model, model)
    else:
        check_encoder(folder, model, not encoder.is_plain)


def is_fast() -> bool:
    """Return whether this machine multiplies bfloat16 natively."""
    import torch

    from probe.models.device import pick_device, pick_dtype

    return pick_dtype("auto", pick_device("auto")) == torch.bfloat16


def show_epochs(epochs: "Sequence[Epoch]") -> None:
    """Print a table of the training, on stderr."""
    from rich import box
    from rich.table import Table

    from adaptors.training.epochs import epoch_cells

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
    from adaptors.training.epochs import epoch_cells

    if not epochs:
        return ""
    header, rows = epoch_cells(epochs)
    lines = [header, ["---:"] * len(header), *rows]
    return "\n## Training\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
