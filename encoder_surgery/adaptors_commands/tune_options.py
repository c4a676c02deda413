"""Options of `adaptors tune`."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "Around",
    "Batch",
    "Checkpoints",
    "CrossScores",
    "Data",
    "Decay",
    "Epochs",
    "Heal",
    "HoldOut",
    "Log",
    "Lora",
    "Loss",
    "Minutes",
    "Negatives",
    "OnlyTower",
    "OutFolder",
    "Picture",
    "Ranks",
    "Rate",
    "ReportTo",
    "Rounds",
    "Set",
    "Spare",
    "Steps",
    "Student",
    "Teacher",
    "Temperature",
    "Tokens",
    "Top",
    "TrainSeed",
    "WarmUp",
]

_HEALING, _LABELS = "Healing", "Labels"


def _labels(help: str, *names: str, **rules: float) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(*names, help=help, rich_help_panel=_LABELS, **rules)  # type: ignore[arg-type]
    return option


def _check_rate(rate: float | None) -> float | None:
    if rate is not None and not rate > 0:
        raise typer.BadParameter(f"{rate:g}: expected more than 0")
    return rate


OutFolder = Annotated[Path, typer.Option("--out", "-o", help="Folder to make.")]
Student = Annotated[str, typer.Option("--model", "-m", help="Alias, hub id or folder; a cut or fused one too.")]
Data = Annotated[
    list[str] | None,
    typer.Option(
        "--dataset",
        "-d",
        help="A BEIR data set or a folder of images with captions, with a split train, or a JSONL or CSV file of rows.",
    ),
]
Batch = Annotated[int | None, typer.Option(help="Rows in a batch: 32, or 16 texts with --heal.", min=2)]
Tokens = Annotated[int | None, typer.Option(help="Longest text while training; the model's own when left out.", min=8)]
Rate = Annotated[
    float | None,
    typer.Option(
        help="Greatest learning rate: 2e-5, 5e-4 with --lora, 3e-4 with --heal.",
        callback=_check_rate,
    ),
]
TrainSeed = Annotated[int, typer.Option("--seed", help="Of everything that is random.", min=0)]
Checkpoints = Annotated[
    Path | None, typer.Option(help="Keep the training there, and take up one that was interrupted.")
]
Log = Annotated[Path | None, typer.Option(help="Write what every logging step shows, line by line, as .jsonl.")]
Picture = Annotated[
    Path | None,
    typer.Option("--similarity-map", help="Draw a batch's similarities before and after (needs the extra plot)."),
]
Heal = Annotated[
    bool,
    typer.Option(
        "--heal",
        help="Teach a cut encoder the vectors of the full model, without any label.",
        rich_help_panel=_HEALING,
    ),
]
Teacher = Annotated[str, typer.Option(help="The full model: alias, hub id or folder.", rich_help_panel=_HEALING)]
Steps = Annotated[int, typer.Option(help="Batches.", min=1, rich_help_panel=_HEALING)]
Minutes = Annotated[
    float | None,
    typer.Option(
        help="Instead of --steps: as many batches as fit, by the time that some take.", min=0, rich_help_panel=_HEALING
    ),
]
Loss = Annotated[str, _labels("One of `adaptors losses`.")]
Around = Annotated[str | None, _labels("What goes around the loss, the innermost first: matryoshka,collapse-guard.")]
Temperature = Annotated[float | None, _labels("Divides similarities.")]
Set = Annotated[
    list[str] | None,
    _labels("Further options of the loss: margin=0.2, dims=256/128, guide=MODEL, mini_batch=16, weight=0.5."),
]
Epochs = Annotated[int, _labels("How often every row is seen, at most.", min=1)]
WarmUp = Annotated[float, _labels("Share of the steps in which the learning rate rises.", min=0, max=1)]
Lora = Annotated[int | None, _labels("Train low-rank matrices of this rank alone (needs the extra lora).", min=1)]
Top = Annotated[int | None, _labels("Train so many of the last blocks alone.", min=1)]
OnlyTower = Annotated[str | None, _labels("Train one tower of a two-tower model alone: image or text.", "--tower")]
Decay = Annotated[float, _labels("Factor of the learning rate from a block to the one below it.")]
Rounds = Annotated[int, _labels("How often to mine hard negatives and train on them.", min=0)]
Negatives = Annotated[int, _labels("Hard negatives of every pair.", min=1)]
Ranks = Annotated[str, _labels("Ranks that hard negatives come from; those before may be relevant though unjudged.")]
Spare = Annotated[
    float, _labels("No negative scores above the positive's score less this share of it.", "--negatives-margin", max=1)
]
CrossScores = Annotated[
    str | None,
    _labels("Scores the rows first, for losses that distil scores: hub id or folder.", "--cross-encoder"),
]
HoldOut = Annotated[float, _labels("Share of the queries that choose the epoch; 0 keeps the last.", min=0, max=0.9)]
ReportTo = Annotated[str, _labels("What tracks the training, as sentence-transformers names it: none, wandb, ...")]
