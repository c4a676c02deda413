"""The commands of `probe data`."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from encoder_surgery.shell import options as option
from encoder_surgery.shell.app import app, flag, friendly
from encoder_surgery.shell.output import FormatFlag, as_json, say

__all__ = ["data_app"]


@friendly
def show(
    dataset: Annotated[
        str, typer.Argument(help="docstrings, a BEIR name, a BEIR folder, zip or URL, a folder of images.")
    ],
    split: option.Split = None,
    *,
    output: FormatFlag,
) -> None:
    """Show what is in a data set: counts, judgements per query, lengths or sizes, an example, defects."""
    output.check()
    from probe.data.loading import load_dataset
    from probe.data.summary import summarize, summary_table

    summary = summarize(load_dataset(dataset, split))
    output.show(as_json(vars(summary)), lambda: [summary_table(summary)])


@friendly
def build(
    files: Annotated[list[Path], typer.Argument(help="Text, Markdown, JSONL or CSV files, or folders of them.")],
    out: option.OutFolder,
    force: Annotated[bool, flag("Replace the folder where it exists.", "--force")] = False,
) -> None:
    """Make a BEIR data set of your own documents, with synthetic known-item queries; prints its folder."""
    from probe.documents.build import build_dataset

    built = build_dataset(files, out, force)
    say(f"{built.documents} passages of {built.files} files, {built.queries} synthetic queries; next:")
    say(f"probe layers --dataset {shlex.quote(str(built.folder))}")
    typer.echo(built.folder)


data_app = app(
    "Look at a data set, or build one from your own documents.",
    "probe data show docstrings",
    {"probe data show docstrings": show, "probe data build README.md --out ./readme-data": build},
)
