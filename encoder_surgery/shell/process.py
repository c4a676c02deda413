"""How a command behaves as a process: signals, a reader that leaves, bytes that are no text."""

import codecs
import io
import os
import select
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import typer

from probe.errors import CallError
from probe.io.files import reason

__all__ = [
    "PIPE_CLOSED",
    "Terminated",
    "check_names",
    "discard_output",
    "end_pipes",
    "is_pipe_closed",
    "open_streams",
    "terminable",
]

# What a shell reports of a command that wrote to a pipe nobody reads: 128 and the number of SIGPIPE.
PIPE_CLOSED = 141
_ERRORS = "bytes-or-question-mark"
_ENDING = ("SIGTERM", "SIGHUP")


class Terminated(BaseException):
    """The process was asked to end."""

    def __init__(self, number: int) -> None:
        """Note the signal."""
        super().__init__(number)
        self.exit_code = 128 + number


@contextmanager
def terminable() -> Iterator[None]:
    """Let signals that ask a process to end raise `Terminated`, so that it leaves nothing half-written behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        """End the command."""
        raise Terminated(number)

    numbers = [getattr(signal, name) for name in _ENDING if hasattr(signal, name)]
    # One that is ignored stays so: nohup ignores SIGHUP.
    before = {number: signal.signal(number, end) for number in numbers if signal.getsignal(number) == signal.SIG_DFL}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def open_streams() -> None:
    """Print names as the bytes they are made of, and a question mark for what a terminal has no letter for."""
    codecs.register_error(_ERRORS, _encode_anyhow)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # it was closed
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8"))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ERRORS)


def _encode_anyhow(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    found = error.object[error.start]
    # Python keeps a byte that is no text as one of these.
    known = "\udc80" <= found <= "\udcff"
    return bytes([ord(found) - 0xDC00]) if known else "?", error.start + 1


@contextmanager
def end_pipes() -> Iterator[None]:
    """End in silence where nobody reads any more, as `head` does, and in words where what is printed cannot be kept."""
    try:
        yield
    except SystemExit as error:
        if isinstance(error.__context__, BrokenPipeError):  # other libraries answer with 1
            _leave()
        flush_output()
        raise
    except BrokenPipeError:
        _leave()
    except OSError as error:
        if error.filename is not None:
            raise
        _fail(error)
    flush_output()


def flush_output() -> None:
    """Write what is printed; the interpreter's own attempt, when it ends, would come too late for words."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _leave()
    except OSError as error:
        _fail(error)


def _fail(error: OSError) -> None:
    discard_output()
    with suppress(OSError):
        typer.echo(f"error: the output cannot be written: {reason(error)}", err=True)
    raise SystemExit(1) from None


def _leave() -> None:
    discard_output()
    raise SystemExit(PIPE_CLOSED) from None


def discard_output() -> None:
    """Print nothing any more."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (sys.stdout, sys.stderr):
            if stream is sys.stdout or _is_closed(stream):
                os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def is_pipe_closed() -> bool:
    """Whether nobody reads what this process prints; a network may break a pipe, too."""
    return any(_is_closed(stream) for stream in (sys.stdout, sys.stderr))


def _is_closed(stream: Any) -> bool:
    try:
        asked = select.poll()
        asked.register(stream.fileno(), 0)
        return any(event & (select.POLLERR | select.POLLHUP) for _, event in asked.poll(0))
    except (OSError, ValueError, AttributeError):  # no file at all, or a system that cannot say
        return True


def check_names(values: Mapping[str, Any]) -> None:
    """Refuse names that other libraries or a terminal cannot take.

    Raises:
        CallError: A value is no text, or a path to be made has characters that nobody sees.
    """
    for value in values.values():
        for text in map(str, value if isinstance(value, list | tuple) else [value]):
            if any("\ud800" <= letter <= "\udfff" for letter in text):
                shown = os.fsencode(text).decode("utf-8", "backslashreplace")
                raise CallError(f"'{shown}' has bytes that are no UTF-8: expected text; give the file another name")
        if isinstance(value, Path) and not str(value).isprintable():
            raise CallError(f"{str(value)!r} has characters that cannot be seen: expected a name without them")
