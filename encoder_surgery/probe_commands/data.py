"""The commands of `probe data`."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from encoder_surgery.shell.app import app, friendly
from encoder_surgery.shell.options import Debug, Split, TableOrJson
from encoder_surgery.shell.output import check_choice, console, print_json, say

__all__ = ["data_app"]

data_app = app("Look at a data set, or build one from your own documents.", "probe data show docstrings")


@data_app.command(epilog="Example: probe data show docstrings")
@friendly
def show(
    dataset: Annotated[
        str, typer.Argument(help="docstrings, a BEIR name, a BEIR folder, zip or URL, a folder of images.")
    ],
    split: Split = None,
    format: TableOrJson = "table",
    debug: Debug = False,
) -> None:
    """Show what is in a data set: counts, judgements per query, lengths or sizes, an example, defects."""
    check_choice("--format", format, ("table", "json"))
    from probe.data.loading import load_dataset
    from probe.data.summary import summarize, summary_table

    summary = summarize(load_dataset(dataset, split))
    print_json(vars(summary)) if format == "json" else console().print(summary_table(summary))


@data_app.command(epilog="Example: probe data build README.md --out ./readme-data")
@friendly
def build(
    files: Annotated[list[Path], typer.Argument(help="Text, Markdown, JSONL or CSV files, or folders of them.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to make.")],
    force: Annotated[bool, typer.Option("--force", help="Replace the folder where it exists.")] = False,
    debug: Debug = False,
) -> None:
    """Make a BEIR data set of your own documents, with synthetic known-item queries; prints its folder."""
    from probe.documents.build import build_dataset

    built = build_dataset(files, out, force)
    say(f"{built.documents} passages of {built.files} files, {built.queries} synthetic queries; next:")
    say(f"probe layers --dataset {shlex.quote(str(built.folder))}")
    typer.echo(built.folder)
