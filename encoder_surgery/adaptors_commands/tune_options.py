"""Options of `adaptors tune`: of every training, of healing, of a training on labelled rows."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import typer

from encoder_surgery.shell.options import Force, OutFolder
from encoder_surgery.shell.training_output import Target

__all__ = ["HealFlags", "LabelFlags", "TrainFlags"]


def _check_rate(rate: float | None) -> float | None:
    if rate is not None and not rate > 0:
        raise typer.BadParameter(f"{rate:g}: expected more than 0")
    return rate


@dataclass(frozen=True)
class TrainFlags:
    """Options of every training."""

    panel: ClassVar[str | None] = None

    out: OutFolder
    model: Annotated[str, typer.Option("--model", "-m", help="Alias, hub id or folder; a cut or fused one too.")] = (
        "minilm"
    )
    dataset: Annotated[
        list[str] | None,
        typer.Option(
            "--dataset",
            "-d",
            help="A BEIR data set or a folder of images with captions, with a split train, or a JSONL or CSV file of "
            "rows.",
        ),
    ] = None
    batch: Annotated[int | None, typer.Option(help="Rows in a batch: 32, or 16 texts with --heal.", min=2)] = None
    tokens: Annotated[
        int | None, typer.Option(help="Longest text while training; the model's own when left out.", min=8)
    ] = None
    rate: Annotated[
        float | None,
        typer.Option(help="Greatest learning rate: 2e-5, 5e-4 with --lora, 3e-4 with --heal.", callback=_check_rate),
    ] = None
    seed: Annotated[int, typer.Option("--seed", help="Of everything that is random.", min=0)] = 0
    checkpoints: Annotated[
        Path | None, typer.Option(help="Keep the training there, and take up one that was interrupted.")
    ] = None
    log: Annotated[Path | None, typer.Option(help="Write what every logging step shows, line by line, as .jsonl.")] = (
        None
    )
    similarity_map: Annotated[
        Path | None, typer.Option(help="Draw a batch's similarities before and after (needs the extra plot).")
    ] = None
    force: Force = False

    @property
    def target(self) -> Target:
        """Where the trained encoder goes."""
        return Target(self.out, self.force, self.similarity_map)


@dataclass(frozen=True)
class HealFlags:
    """Options of healing."""

    panel: ClassVar[str] = "Healing"

    heal: Annotated[
        bool, typer.Option("--heal", help="Teach a cut encoder the vectors of the full model, without any label.")
    ] = False
    teacher: Annotated[str, typer.Option(help="The full model: alias, hub id or folder.")] = "minilm"
    steps: Annotated[int, typer.Option(help="Batches.", min=1)] = 1000
    minutes: Annotated[
        float | None,
        typer.Option(help="Instead of --steps: as many batches as fit, by the time that some take.", min=0),
    ] = None


@dataclass(frozen=True)
class LabelFlags:
    """Options of a training on labelled rows."""

    panel: ClassVar[str] = "Labels"

    loss: Annotated[str, typer.Option(help="One of `adaptors losses`.")] = "infonce"
    around: Annotated[
        str | None, typer.Option(help="What goes around the loss, the innermost first: matryoshka,collapse-guard.")
    ] = None
    temperature: Annotated[float | None, typer.Option(help="Divides similarities.")] = None
    set: Annotated[
        list[str] | None,
        typer.Option(
            help="Further options of the loss: margin=0.2, dims=256/128, guide=MODEL, mini_batch=16, weight=0.5."
        ),
    ] = None
    epochs: Annotated[int, typer.Option(help="How often every row is seen, at most.", min=1)] = 3
    warm_up: Annotated[
        float, typer.Option(help="Share of the steps in which the learning rate rises.", min=0, max=1)
    ] = 0.1
    lora: Annotated[
        int | None, typer.Option(help="Train low-rank matrices of this rank alone (needs the extra lora).", min=1)
    ] = None
    top: Annotated[int | None, typer.Option(help="Train so many of the last blocks alone.", min=1)] = None
    tower: Annotated[
        str | None, typer.Option("--tower", help="Train one tower of a two-tower model alone: image or text.")
    ] = None
    decay: Annotated[float, typer.Option(help="Factor of the learning rate from a block to the one below it.")] = 1.0
    rounds: Annotated[int, typer.Option(help="How often to mine hard negatives and train on them.", min=0)] = 0
    negatives: Annotated[int, typer.Option(help="Hard negatives of every pair.", min=1)] = 5
    ranks: Annotated[
        str,
        typer.Option(help="Ranks that hard negatives come from; those before may be relevant though unjudged."),
    ] = "11-50"
    negatives_margin: Annotated[
        float,
        typer.Option(help="No negative scores above the positive's score less this share of it.", max=1),
    ] = 0.05
    cross_encoder: Annotated[
        str | None, typer.Option(help="Scores the rows first, for losses that distil scores: hub id or folder.")
    ] = None
    hold_out: Annotated[
        float, typer.Option(help="Share of the queries that choose the epoch; 0 keeps the last.", min=0, max=0.9)
    ] = 0.1
    report_to: Annotated[
        str, typer.Option(help="What tracks the training, as sentence-transformers names it: none, wandb, ...")
    ] = "none"
