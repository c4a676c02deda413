"""The frame of every command: its app, its errors and exit codes, and several processes at one command."""

import functools
import io
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import ParamSpec, TypeVar

import typer

from probe.errors import ProbeError

__all__ = ["app", "friendly", "leave_to_first", "shared"]

# Read by the libraries when they are imported.
_ENVIRONMENT = {
    # Beside a busy process, spinning threads cost a third of the speed.
    "OMP_WAIT_POLICY": "PASSIVE",
    "TRANSFORMERS_VERBOSITY": "error",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
}

_SHARED = "shares_work"
# As torchrun sets them; libraries take them for a call to meet the others.
_CALLS = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
# Seconds until the launcher has ended this process, because the first one failed.
_GRACE = 30.0

P = ParamSpec("P")
R = TypeVar("R")


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
        if not _is_shared(command):
            leave_to_first()
        try:
            with _silence_others():
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
    if _process_rank():
        _report_late(message)
    else:
        typer.echo(f"error: {message}", err=True)
    return typer.Exit(exit_code)


def shared(command: Callable[P, R]) -> Callable[P, R]:
    """Mark a command whose work several processes share."""
    setattr(command, _SHARED, True)
    return command


def _is_shared(command: Callable[P, R]) -> bool:
    """Return whether several processes share a command's work."""
    return getattr(command, _SHARED, False)


def _process_rank() -> int:
    return int(os.environ.get("RANK", "0"))


def leave_to_first() -> None:
    """Let the first of several processes do the work as if it were alone, and end the others."""
    if _process_rank():
        raise typer.Exit
    for name in _CALLS:
        os.environ.pop(name, None)


@contextmanager
def _silence_others() -> Iterator[None]:
    """Keep all processes but the first silent."""
    if not _process_rank():
        yield
        return
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        yield


def _report_late(message: str) -> None:
    """Report an error of a process beside the first, unless the first reports it and the launcher ends all."""
    time.sleep(_GRACE)
    print(f"error: process {_process_rank()}: {message}", file=sys.__stderr__)
