"""Options of `adaptors tune`: of every training, of healing, of a training on labelled rows."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, cast

import typer

from encoder_surgery.shell.app import flag
from encoder_surgery.shell.options import Force, OutFolder, check_rate
from encoder_surgery.shell.output import check_file, check_plot, say, write_file
from probe.errors import GREATEST_SEED

if TYPE_CHECKING:
    from torch import Tensor

    from adaptors.finetuning.encoder import TrainableEncoder
    from adaptors.finetuning.saved import Tuned
    from adaptors.training.metrics_log import Sample
    from probe.encoding.protocols import Encoder

__all__ = ["HealFlags", "LabelFlags", "TrainFlags"]

_ROWS = "A BEIR data set or a folder of images with captions, with a split train, or a JSONL or CSV file of rows."
_SETTINGS = "Further options of the loss: margin=0.2, dims=256/128, guide=MODEL, mini_batch=16, weight=0.5."


@dataclass(frozen=True)
class TrainFlags:
    """Options of every training."""

    panel: ClassVar[str | None] = None

    out: OutFolder
    model: Annotated[str, flag("Alias, hub id or folder; a cut or fused one too.", "--model", "-m")] = "minilm"
    dataset: Annotated[list[str] | None, flag(_ROWS, "--dataset", "-d")] = None
    batch: Annotated[int | None, flag("Rows in a batch: 32, or 16 texts with --heal.", min=2)] = None
    tokens: Annotated[int | None, flag("Longest text while training; the model's own when left out.", min=8)] = None
    rate: Annotated[
        float | None, flag("Greatest learning rate: 2e-5, 5e-4 with --lora, 3e-4 with --heal.", callback=check_rate)
    ] = None
    seed: Annotated[int, flag("Of everything that is random.", min=0, max=GREATEST_SEED)] = 0
    checkpoints: Annotated[Path | None, flag("Keep the training there, and take up one that was interrupted.")] = None
    log: Annotated[Path | None, flag("Write what every logging step shows, line by line, as .jsonl.")] = None
    similarity_map: Annotated[
        Path | None, flag("Draw a batch's similarities before and after (needs the extra plot).")
    ] = None
    force: Force = False

    def check_files(self) -> None:
        """Refuse files and folders that cannot be written, before the work."""
        from surgery.saving.save import check_out

        check_out(self.out, self.force)
        check_file("--log", self.log, (".jsonl",), force=self.force or self.checkpoints is not None)
        check_plot(self.similarity_map, force=self.force)

    def draw(self, before: "tuple[Tensor, Tensor] | None", sample: "Sample", *, sides: tuple[str, str]) -> None:
        """Draw a sample's similarities before and after the training, where asked for."""
        if self.similarity_map is None or before is None:
            return
        from adaptors.training.similarity_map import similarity_map

        write_file(self.similarity_map, lambda file: similarity_map(before, sample(), file, sides=sides))

    def save(self, tuned: "Tuned") -> None:
        """Save the trained encoder, check it in a fresh process, and print its folder."""
        from adaptors.finetuning.saved import save_tuned

        say(f"saving {self.out} and checking it in a fresh process")
        save_tuned(tuned, self.out, self.force, check=partial(_check_saved, tuned.encoder))
        is_pair = tuned.encoder.is_paired
        reading = f"probe layers --model {self.out}@image" if is_pair else f"probe rank {self.model} {self.out}"
        say(f"what it brought: {reading} --dataset D")
        typer.echo(self.out)


def _check_saved(encoder: "TrainableEncoder", folder: Path) -> None:
    from surgery.saving.fresh_process import check_encoder, check_pair

    model = cast("Encoder", encoder.model)
    if encoder.is_paired:
        check_pair(folder, model, model)
    else:
        check_encoder(folder, model, not encoder.is_plain)


@dataclass(frozen=True)
class HealFlags:
    """Options of healing."""

    panel: ClassVar[str] = "Healing"

    heal: Annotated[bool, flag("Teach a cut encoder the vectors of the full model, without any label.", "--heal")] = (
        False
    )
    teacher: Annotated[
        str | None, flag("The full model: alias, hub id or folder; what the cut says it was cut from when left out.")
    ] = None
    steps: Annotated[int, flag("Batches.", min=1)] = 1000
    minutes: Annotated[
        float | None, flag("Instead of --steps: end in this time by the clock, setting up and saving included.", min=0)
    ] = None


@dataclass(frozen=True)
class LabelFlags:
    """Options of a training on labelled rows."""

    panel: ClassVar[str] = "Labels"

    loss: Annotated[str, flag("One of `adaptors losses`.")] = "infonce"
    around: Annotated[
        str | None, flag("What goes around the loss, the innermost first: matryoshka,collapse-guard.")
    ] = None
    temperature: Annotated[float | None, flag("Divides similarities.")] = None
    set: Annotated[list[str] | None, flag(_SETTINGS)] = None
    epochs: Annotated[int, flag("How often every row is seen, at most.", min=1)] = 3
    warm_up: Annotated[float, flag("Share of the steps in which the learning rate rises.", min=0, max=1)] = 0.1
    lora: Annotated[int | None, flag("Train low-rank matrices of this rank alone (needs the extra lora).", min=1)] = (
        None
    )
    top: Annotated[int | None, flag("Train this many of the last blocks alone.", min=1)] = None
    tower: Annotated[str | None, flag("Train one tower of a two-tower model alone: image or text.")] = None
    decay: Annotated[float, flag("Factor of the learning rate from a block to the one below it.")] = 1.0
    rounds: Annotated[int, flag("How often to mine hard negatives and train on them.", min=0)] = 0
    negatives: Annotated[int, flag("Hard negatives of every pair.", min=1)] = 5
    ranks: Annotated[
        str, flag("Ranks that hard negatives come from; those before may be relevant though unjudged.")
    ] = "11-50"
    negatives_margin: Annotated[
        float, flag("No negative scores above the positive's score less this share of it.", max=1)
    ] = 0.05
    cross_encoder: Annotated[
        str | None, flag("Scores the rows first, for losses that distil scores: hub id or folder.")
    ] = None
    hold_out: Annotated[
        float, flag("Share of the queries that choose the epoch; 0 keeps the last.", min=0, max=0.9)
    ] = 0.1
    report_to: Annotated[str, flag("What tracks the training, as sentence-transformers names it: none, wandb, ...")] = (
        "none"
    )
