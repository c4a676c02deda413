"""The output of a command: destinations, checked before the work; then tables, JSON, files and plots."""

import errno
import io
import json
import os
import shlex
import sys
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import typer

from encoder_surgery.shell.app import flag
from encoder_surgery.shell.log_lines import Verbosity, verbosity
from probe.errors import CallError, ProbeError
from probe.io import files
from probe.io.files import find_refusal, reason
from probe.io.publishing import Stamp, stamp_of

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from adaptors.training.epochs import Epoch
    from probe.results.result import Result

__all__ = [
    "FormatFlag",
    "ResultFlags",
    "as_json",
    "check_file",
    "check_plot",
    "command_line",
    "console",
    "say",
    "show_epochs",
    "write_file",
    "write_text",
]

_SUFFIXES = {".json": "json", ".csv": "csv", ".md": "markdown", ".markdown": "markdown", ".txt": "table"}

# The state of every output file at the time of its check.
_checked: dict[Path, Stamp | None] = {}


def check_file(option: str, file: Path | None, suffixes: Collection[str], *, force: bool) -> None:
    """Check, before the work, that a file can be written, has a known suffix, and is new unless `--force` is given."""
    if file is None:
        return
    if file.suffix.lower() not in suffixes:
        raise CallError(f"{option} '{file}': expected a file ending in {', '.join(suffixes)}")
    if file.is_dir():
        raise CallError(f"{option} '{file}' is a folder: expected a file")
    if file.exists() and not file.is_file():
        raise CallError(f"{option} '{file}' is not a regular file: choose another name")
    if file.exists() and not force:
        raise CallError(f"{option} '{file}' exists: choose another name, or overwrite it with --force")
    if not file.parent.is_dir():
        raise CallError(f"{option} '{file}': folder '{file.parent}' not found; create it first")
    refused = find_refusal(file)
    if refused:
        raise CallError(f"{option} '{file}' cannot be written: {refused}")
    _checked[file.absolute()] = stamp_of(file)


def check_plot(plot: Path | None, *, force: bool) -> None:
    """Check, before the work, that a plot can be written: its suffix is an image's and matplotlib is installed."""
    if plot is None:
        return
    from probe.plots.picture import SUFFIXES, check_matplotlib

    check_file("--plot", plot, SUFFIXES, force=force)
    check_matplotlib("--plot")


@dataclass(frozen=True)
class FormatFlag:
    """The output of a command that prints a table or JSON."""

    panel: ClassVar[str] = "Output"

    format: Annotated[Literal["table", "json"], flag("Output format.", "--format", "-f")] = "table"

    def show(self, text: str, draw: "Callable[[], Iterable[Table | str]]") -> None:
        """Print the output.

        Args:
            text: The output as JSON.
            draw: Returns the output as tables, and as lines to print below them.
        """
        if self.format == "json":
            typer.echo(text, nl=False)
            return
        from probe.results.console import print_whole

        screen = console()
        for part in draw():
            if isinstance(part, str):  # wrapped between words in a terminal, unwrapped in a pipe
                screen.print(part, markup=False, soft_wrap=not screen.is_terminal)
            elif all(column.no_wrap for column in part.columns):
                print_whole(part, screen)
            else:
                screen.print(part)


@dataclass(frozen=True)
class ResultFlags(FormatFlag):
    """The output of a command whose result can be saved and plotted."""

    format: Annotated[
        Literal["table", "json", "csv", "markdown"],  # commands without a result have fewer
        flag("Output format.", "--format", "-f"),
    ] = "table"  # type: ignore[assignment]
    details: Annotated[bool, flag("Print all settings below the table.", "--details")] = False
    columns: Annotated[str | None, flag("Columns of the table, separated by commas; default: all that fit.")] = None
    save: Annotated[Path | None, flag("Save to a .json, .csv, .md or .txt file.")] = None
    plot: Annotated[Path | None, flag("Plot to a .png, .svg or .pdf file (extra plot).")] = None
    force: Annotated[bool, flag("Overwrite existing files.", "--force")] = False

    def check(self, kind: str, *, several: bool = False) -> None:
        """Check the values before the work.

        Args:
            kind: Kind of the result.
            several: Whether there are several data sets, whose columns are checked once they are loaded.
        """
        check_file("--save", self.save, _SUFFIXES, force=self.force)
        check_plot(self.plot, force=self.force)
        if self.details and self.format != "table":
            raise CallError(f"--details is for --format table: {self.format} has all settings")
        if self.columns is not None and not several:
            self.check_columns(kind)

    def check_columns(self, kind: str, datasets: Sequence[str] = ()) -> None:
        """Check the names of columns before the work.

        Args:
            kind: Kind of the result.
            datasets: Names of the data sets, if there are several.
        """
        if self.columns is None:
            return
        from probe.results.console import check_columns
        from probe.results.load import column_names

        if self.format not in ("table", "markdown"):
            raise CallError(f"--columns is for --format table or markdown: {self.format} has all values")
        # The metric columns of a leaderboard are known only once it exists.
        known = [*column_names(kind, datasets), *(["ndcg@10"] if kind == "leaderboard" else [])]
        check_columns([name for name in self._wanted() if "@" not in name], known)

    def _wanted(self) -> tuple[str, ...]:
        """Return the names of the requested columns."""
        return tuple(name.strip().lower() for name in (self.columns or "").split(",") if name.strip())

    @property
    def writes_json(self) -> bool:
        """Whether the result is written as JSON, which has more fields than a table."""
        return self.format == "json" or (self.save is not None and _SUFFIXES[self.save.suffix.lower()] == "json")

    def emit(self, result: "Result") -> None:
        """Print a result, and save and plot it if requested."""
        try:
            self._write(result)
        finally:
            # Last, because the reader of a pipe may close it early; in `finally`, so that a full disk loses no result.
            self._show(result)

    def _show(self, result: "Result") -> None:
        """Print a result; if it lacks a requested column, print all columns and raise an error."""
        from probe.results.console import check_columns

        wanted, known = self._wanted(), [column.name for column in result.columns()] if self.columns else []
        columns = wanted if set(wanted) <= set(known) else ()
        if self.format == "table":
            _print(result, console(), details=self.details, columns=columns)
        else:
            typer.echo(result.render(self.format, columns), nl=False)
        if self.format == "csv":
            say("\n".join([*result.conclusions(), *result.notes()]))
        check_columns(wanted, known)

    def _write(self, result: "Result") -> None:
        if self.save is not None:
            write_text(_render(result, _SUFFIXES[self.save.suffix.lower()]), self.save)
        if self.plot is not None:
            from probe.plots.picture import save_picture

            write_file(self.plot, lambda file: save_picture(result, file))


def _render(result: "Result", format: str) -> str:
    """Return the text of a result's file, with all details."""
    if format != "table":
        return result.render(format)
    text = io.StringIO()
    _print(result, console(file=text, width=200), details=True)
    return text.getvalue()


def _print(result: "Result", console: "Console", *, details: bool, columns: tuple[str, ...] = ()) -> None:
    from probe.results.console import View, print_result

    print_result(result, console, View(details=details, columns=columns))


def as_json(value: Any) -> str:
    """Return plain values as JSON, to print."""
    return json.dumps(value, indent=2) + "\n"


def command_line() -> str:
    """Return the command line of this process."""
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])


def console(**options: Any) -> "Console":
    """Return a console without automatic highlighting."""
    from rich.console import Console

    class Screen(Console):
        def on_broken_pipe(self) -> None:
            """Raise, so that the command handles it."""
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))

    return Screen(highlight=False, **options)


def say(words: str) -> None:
    """Print a message on stderr; `--quiet` suppresses all but warnings."""
    if verbosity() < Verbosity.QUIET or words.startswith("warning: "):
        typer.echo(words, err=True)


def write_text(text: str, file: Path) -> None:
    """Write a text file atomically and report it."""
    write_file(file, lambda made: made.write_text(text, encoding="utf-8", errors="backslashreplace"))


def write_file(file: Path, write: Callable[[Path], object]) -> None:
    """Write a file atomically and report it.

    Args:
        file: Path that passed `check_file` before the work. If it was created or changed since then, it is left alone
            and the output goes to a new name beside it.
        write: Writes to a path of the same suffix.

    Raises:
        ProbeError: The file cannot be written, or was written under another name.
    """
    key = file.absolute()
    before = _checked.pop(key) if key in _checked else stamp_of(file)
    try:
        placed = files.write_file(file, write, before)
    except OSError as error:
        raise ProbeError(f"'{file}' cannot be written: {reason(error)}") from error
    say(f"saved {placed}")
    if placed != file:
        raise ProbeError(f"'{file}' was changed by another process and is left unchanged: the output is in '{placed}'")


def show_epochs(epochs: "Sequence[Epoch]") -> None:
    """Print a table of the epochs, and the score before and after the training, on stderr."""
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
