"""The output of a command: where it may go, checked before the work; tables, JSON, files and pictures after it."""

import io
import json
import os
import shlex
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import typer

from probe.errors import CallError, ProbeError
from probe.io.files import replace_file

if TYPE_CHECKING:
    from rich.console import Console

    from probe.results.leaderboard import Leaderboard

__all__ = [
    "check_choice",
    "check_file",
    "check_json_output",
    "check_output",
    "check_plot",
    "command_line",
    "console",
    "emit",
    "emit_json",
    "print_json",
    "save_plot",
    "saving",
    "say",
    "write_text",
    "writes_json",
]

_FORMATS = ("table", "json", "csv", "markdown")
_SUFFIXES = {".json": "json", ".csv": "csv", ".md": "markdown", ".markdown": "markdown", ".txt": "table"}


class _ToJson(Protocol):
    """A result that can be saved."""

    def to_json(self) -> str:
        """Return it as JSON."""
        ...


B = TypeVar("B", bound=_ToJson)


def check_choice(option: str, value: str, choices: Collection[str]) -> None:
    """Refuse a value that is none of the choices."""
    if value not in choices:
        raise CallError(f"unknown {option} '{value}': expected one of {', '.join(choices)}")


def check_output(format: str, save: Path | None) -> None:
    """Refuse a wrong --format or --save before the work, not after it."""
    check_choice("--format", format, _FORMATS)
    check_file("--save", save, _SUFFIXES)


def check_file(option: str, file: Path | None, suffixes: Collection[str]) -> None:
    """Refuse a file that cannot be written, or whose suffix says nothing, before the work."""
    if file is None:
        return
    if file.suffix.lower() not in suffixes:
        raise CallError(f"{option} '{file}': expected a file ending in {', '.join(suffixes)}")
    if file.is_dir():
        raise CallError(f"{option} '{file}' is a folder: expected a file")
    if not file.parent.is_dir():
        raise CallError(f"{option} '{file}': there is no folder '{file.parent}'; make it first")
    if not os.access(file if file.exists() else file.parent, os.W_OK):
        raise CallError(f"{option} '{file}' cannot be written: permission denied")


def writes_json(format: str, save: Path | None) -> bool:
    """Return whether a result leaves as JSON, which holds more than a table shows."""
    return format == "json" or (save is not None and _SUFFIXES[save.suffix.lower()] == "json")


def check_json_output(format: str, save: Path | None) -> None:
    """Refuse a wrong --format or --save of a command that prints a table or JSON."""
    check_choice("--format", format, ("table", "json"))
    check_file("--save", save, (".json",))


def command_line() -> str:
    """Return the command as it was typed."""
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])


def console(**options: Any) -> "Console":
    """Return a console that adds no colour of its own to words."""
    from rich.console import Console

    return Console(highlight=False, **options)


def say(words: str) -> None:
    """Print words for people, on stderr."""
    typer.echo(words, err=True)


def print_json(value: Any) -> None:
    """Print JSON, on stdout."""
    typer.echo(json.dumps(value, indent=2))


def emit(board: "Leaderboard", format: str, save: Path | None) -> None:
    """Save a leaderboard where asked for, and print it on stdout."""
    if save is not None:
        write_text(_draw(board, _SUFFIXES[save.suffix.lower()]), save)
    if format == "table":
        from probe.results.console import print_result

        print_result(board, console())
    else:
        typer.echo(board.render(format), nl=False)


def emit_json(result: B, format: str, save: Path | None, *, draw: "Callable[[B, Console], None]") -> None:
    """Save a result as JSON where asked for, and print it on stdout, as a table or as JSON."""
    if save is not None:
        write_text(result.to_json(), save)
    if format == "json":
        typer.echo(result.to_json(), nl=False)
    else:
        draw(result, console())


def write_text(text: str, file: Path) -> None:
    """Write a file, whole or not at all, and say so."""
    with saving(file):
        replace_file(file, lambda scratch: scratch.write_text(text, encoding="utf-8"))


@contextmanager
def saving(file: Path) -> Iterator[None]:
    """Say that a file was saved, or that the system refused."""
    try:
        yield
    except OSError as error:
        raise ProbeError(f"'{file}' cannot be written: {error}") from error
    say(f"saved {file}")


def _draw(board: "Leaderboard", format: str) -> str:
    if format != "table":
        return board.render(format)
    from probe.results.console import print_result

    text = io.StringIO()
    print_result(board, console(file=text, width=200))
    return text.getvalue()


def check_plot(plot: Path | None, option: str = "--plot") -> None:
    """Refuse a wrong name of a picture, or any without matplotlib, before the work."""
    if plot is None:
        return
    from probe.plots.picture import SUFFIXES, check_matplotlib

    check_file(option, plot, SUFFIXES)
    check_matplotlib(option)


def save_plot(board: Any, plot: Path | None) -> None:
    """Draw a board where asked for."""
    if plot is None:
        return
    from probe.plots.picture import save_picture

    with saving(plot):
        save_picture(board, plot)
