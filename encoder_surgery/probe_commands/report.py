"""The command `probe report`."""

from pathlib import Path
from typing import Annotated

import typer

from encoder_surgery.shell.app import flag, friendly
from encoder_surgery.shell.options import Force
from encoder_surgery.shell.output import check_file, write_text
from probe.errors import CallError

__all__ = ["report"]

Results = Annotated[list[Path], typer.Argument(help="Results saved with --save FILE.json.")]
Page = Annotated[Path, flag("Output .html file.", "--out", "-o")]

Title = Annotated[str, flag("Title of the page; default: the names of the results.", show_default=False)]


@friendly
def report(results: Results, out: Page = Path("report.html"), title: Title = "", force: Force = False) -> None:
    """Write a self-contained HTML report with tables, curves, maps and example queries.

    Every result gets its own section. Results of the same encoders on several data sets are also joined in one table
    with their means, where their settings agree. Prints the page's path.
    """
    check_file("--out", out, (".html", ".htm"), force=force)
    missing = [str(path) for path in results if not path.is_file()]
    if missing:
        raise CallError(f"file '{missing[0]}' not found: expected results written with --save FILE.json")
    from probe.report.page import render_report
    from probe.results.load import read_result

    page = render_report([(path, read_result(path)) for path in dict.fromkeys(results)], title)
    write_text(page, out)
    typer.echo(out)
