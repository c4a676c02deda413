"""The commands of `probe data`."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from encoder_surgery.shell import options as option
from encoder_surgery.shell.app import app, friendly
from encoder_surgery.shell.output import FormatFlag, as_json, say

__all__ = ["data_app"]


@friendly
def show(
    dataset: option.DatasetArgument = "docstrings",
    split: option.Split = None,
    *,
    output: FormatFlag,
) -> None:
    """Summarize a data set: counts, relevance labels per query, lengths or sizes, an example, defects."""
    from probe.data.loading import load_dataset
    from probe.data.summary import summarize, summary_table

    summary = summarize(load_dataset(dataset, split))
    output.show(as_json(vars(summary)), lambda: [summary_table(summary)])


@friendly
def build(
    files: Annotated[list[Path], typer.Argument(help="Text, Markdown, JSONL or CSV files, or folders of them.")],
    out: option.OutFolder = Path("my-data"),
    force: option.Force = False,
) -> None:
    """Build a BEIR data set with synthetic known-item queries from your own documents; prints its folder."""
    from probe.documents.build import build_dataset

    built = build_dataset(files, out, force)
    say(f"{built.documents} passages from {built.files} files, {built.queries} synthetic queries; next:")
    say(f"probe layers --dataset {shlex.quote(str(built.folder))}")
    typer.echo(built.folder)


data_app = app(
    "Inspect a data set, or build one from your own documents.",
    "probe data show docstrings",
    {"probe data show docstrings": show, "probe data build README.md --out ./readme-data": build},
)
