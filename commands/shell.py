"""What every command does around its one call: errors, progress, output."""

import functools
import io
import json
import os
import shlex
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar

import typer

from commands.processes import await_end, beside_first, leave_to_first, place, shares
from probe.errors import CallError, DataError, ProbeError
from probe.files import replace_file

if TYPE_CHECKING:
    from rich.console import Console

    from probe.leaderboard import Leaderboard
    from probe.remote import Location
    from probe.store import Store

__all__ = [
    "app",
    "check_choice",
    "check_file",
    "check_json_output",
    "check_output",
    "command_line",
    "console",
    "emit",
    "emit_json",
    "friendly",
    "open_store",
    "print_json",
    "saving",
    "say",
    "write_text",
    "writes_json",
]

_FORMATS = ("table", "json", "csv", "markdown")
_SUFFIXES = {".json": "json", ".csv": "csv", ".md": "markdown", ".markdown": "markdown", ".txt": "table"}

# Read by the libraries when they are imported.
_ENVIRONMENT = {
    # Beside a busy process, spinning threads cost a third of the speed.
    "OMP_WAIT_POLICY": "PASSIVE",
    "TRANSFORMERS_VERBOSITY": "error",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
}

P = ParamSpec("P")
R = TypeVar("R")


class _ToJson(Protocol):
    """A result that can be saved."""

    def to_json(self) -> str:
        """Return it as JSON."""
        ...


B = TypeVar("B", bound=_ToJson)


def app(help: str, example: str) -> typer.Typer:
    """Return an app whose help ends with an example."""
    return typer.Typer(
        help=help,
        epilog=f"Example: {example}",
        no_args_is_help=True,
        add_completion=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )


def friendly(command: Callable[P, R]) -> Callable[P, R]:
    """Make a command answer errors with a message on stderr and the right exit code."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        """Run the command."""
        _prepare_process()
        if not shares(command):
            leave_to_first()
        try:
            with beside_first():
                return command(*args, **kwargs)
        except (typer.Exit, BrokenPipeError):
            raise
        except KeyboardInterrupt:
            raise _failed("interrupted", 130) from None
        except Exception as error:
            if kwargs.get("debug"):
                raise
            if isinstance(error, ProbeError):
                raise _failed(str(error), error.exit_code) from error
            if isinstance(error, OSError):
                raise _failed(f"the system refused: {error}", 1) from error
            kind = type(error).__name__
            raise _failed(f"unexpected {kind}: {error} (a fault of ours: --debug shows where)", 1) from error

    return run


def _prepare_process() -> None:
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that knows no Δ shows a question mark
            stream.reconfigure(errors="replace")


def _failed(message: str, exit_code: int) -> typer.Exit:
    if place():
        await_end(message)
    else:
        typer.echo(f"error: {message}", err=True)
    return typer.Exit(exit_code)


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


def open_store(folder: str | None, without: bool = False) -> "Store | None":
    """Return the store a command uses: the folder or URL asked for, the cache folder's, or none."""
    from probe.locations import locate
    from probe.store import Store

    if without and folder is not None:
        raise CallError("--store and --no-store exclude each other: give one of them")
    if without:
        return None
    if folder is not None:
        place = locate(folder)
        if _is_file(place):
            raise CallError(f"--store '{folder}' is a file: expected a folder, or a new name for one")
        return Store(place)
    from probe.download import cache_folder

    try:
        return Store(cache_folder() / "store")
    except DataError as error:
        say(f"warning: {error}; nothing is stored (--no-store says so too)")
        return None


def _is_file(place: "Location") -> bool:
    try:
        return place.exists() and not place.is_dir()
    except OSError as error:
        raise DataError(f"--store '{place}' cannot be reached: {error}") from error


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
        from probe.console import print_result

        print_result(board, console())
    else:
        typer.echo(board.render(format), nl=False)


def emit_json(result: B, format: str, save: Path | None, draw: "Callable[[B, Console], None]") -> None:
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
    from probe.console import print_result

    text = io.StringIO()
    print_result(board, console(file=text, width=200))
    return text.getvalue()
