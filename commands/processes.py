"""Several processes at one command: one of them speaks and writes, and most commands need no other."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import ParamSpec, TypeVar

import typer

__all__ = ["await_end", "beside_first", "leave_to_first", "place", "shared", "shares"]

P = ParamSpec("P")
R = TypeVar("R")

_SHARED = "shares_work"
# As torchrun sets them; libraries take them for a call to meet the others.
_CALLS = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
# Seconds until the launcher has ended this process, because the first one failed.
_GRACE = 30.0


def shared(command: Callable[P, R]) -> Callable[P, R]:
    """Mark a command whose work several processes share."""
    setattr(command, _SHARED, True)
    return command


def shares(command: Callable[P, R]) -> bool:
    """Return whether several processes share a command's work."""
    return getattr(command, _SHARED, False)


def place() -> int:
    """Return which of several processes this one is, from 0 on."""
    return int(os.environ.get("RANK", "0"))


def leave_to_first() -> None:
    """Let the first of several processes do the work as if it were alone, and end the others."""
    if place():
        raise typer.Exit
    for name in _CALLS:
        os.environ.pop(name, None)


@contextmanager
def beside_first() -> Iterator[None]:
    """Keep all processes but the first silent."""
    if not place():
        yield
        return
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        yield


def await_end(message: str) -> None:
    """Say what failed in a process beside the first, unless that one said it, which ends all.

    Args:
        message: What failed.
    """
    time.sleep(_GRACE)
    print(f"error: process {place()}: {message}", file=sys.__stderr__)
