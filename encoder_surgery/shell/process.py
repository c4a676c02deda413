"""Process behaviour of commands: environment, threads, signals, closed pipes, output encoding."""

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
from probe.scale.processors import OMP_THREADS, THREADS, environment, find_threads

__all__ = [
    "PIPE_CLOSED",
    "Terminated",
    "check_names",
    "discard_output",
    "end_pipes",
    "is_pipe_closed",
    "open_streams",
    "prepare_process",
    "terminable",
    "with_threads",
]

# The libraries read these when they are imported.
_ENVIRONMENT = {
    # Spinning threads cost a third of the speed on an otherwise busy machine.
    "OMP_WAIT_POLICY": "PASSIVE",
    "TRANSFORMERS_VERBOSITY": "error",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "DATASETS_VERBOSITY": "error",
}

# Exit code of a command killed by SIGPIPE, as shells report it: 128 + 13.
PIPE_CLOSED = 141
_ERRORS = "bytes-or-question-mark"
_ENDING = ("SIGTERM", "SIGHUP")


def prepare_process(verbose: bool) -> None:
    """Set the environment that the libraries read, unless it is set, and open the streams."""
    if verbose:  # the libraries report what they load
        os.environ.update({"TRANSFORMERS_VERBOSITY": "info", "HF_HUB_VERBOSITY": "info"})
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    open_streams()


@contextmanager
def with_threads(asked: int | None) -> Iterator[None]:
    """Compute with as many threads as were asked for, or as there are processors to use; so do processes started here.

    Raises:
        CallError: The number is wrong.
    """
    found = find_threads(asked)
    if found is None:
        yield
        return
    loaded = sys.modules.get("torch")  # has read the environment already
    threads = loaded.get_num_threads() if loaded else found
    # By themselves the tokenizers use the processors of the container.
    names = THREADS if asked is not None else () if os.environ.get(OMP_THREADS) else (OMP_THREADS,)
    with environment(dict.fromkeys(names, str(found))):
        if loaded and threads != found:
            loaded.set_num_threads(found)
        try:
            yield
        finally:
            if loaded and threads != found:
                loaded.set_num_threads(threads)


class Terminated(BaseException):
    """The process received a signal that asks it to end."""

    def __init__(self, number: int) -> None:
        """Store the exit code for the signal."""
        super().__init__(number)
        self.exit_code = 128 + number


@contextmanager
def terminable() -> Iterator[None]:
    """Raise `Terminated` on signals that ask the process to end, so that no incomplete files are left behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        """End the command."""
        raise Terminated(number)

    numbers = [getattr(signal, name) for name in _ENDING if hasattr(signal, name)]
    # Ignored signals stay ignored: nohup ignores SIGHUP.
    before = {number: signal.signal(number, end) for number in numbers if signal.getsignal(number) == signal.SIG_DFL}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def open_streams() -> None:
    """Print file names as their original bytes, and a question mark for characters the terminal cannot show."""
    codecs.register_error(_ERRORS, _encode_anyhow)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # the stream was closed
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8"))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ERRORS)


def _encode_anyhow(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    found = error.object[error.start]
    # Python decodes an undecodable byte as one of these (surrogateescape).
    known = "\udc80" <= found <= "\udcff"
    return bytes([ord(found) - 0xDC00]) if known else "?", error.start + 1


@contextmanager
def end_pipes() -> Iterator[None]:
    """End silently if the pipe was closed (as by `head`), and with a message if the output cannot be written."""
    try:
        yield
    except SystemExit as error:
        if isinstance(error.__context__, BrokenPipeError):  # other libraries exit with code 1
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
    """Flush stdout; at interpreter exit it would be too late for a message."""
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
    """Discard all further output."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (sys.stdout, sys.stderr):
            if stream is sys.stdout or _is_closed(stream):
                os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def is_pipe_closed() -> bool:
    """Return whether the reader of stdout or stderr is gone; a network connection may raise BrokenPipeError, too."""
    return any(_is_closed(stream) for stream in (sys.stdout, sys.stderr))


def _is_closed(stream: Any) -> bool:
    try:
        asked = select.poll()
        asked.register(stream.fileno(), 0)
        return any(event & (select.POLLERR | select.POLLHUP) for _, event in asked.poll(0))
    except (OSError, ValueError, AttributeError):  # not a file, or no poll on this system
        return True


def check_names(values: Mapping[str, Any]) -> None:
    """Reject names that other libraries or a terminal cannot handle.

    Raises:
        CallError: A value is not valid UTF-8, or an output path has invisible characters.
    """
    for value in values.values():
        for text in map(str, value if isinstance(value, list | tuple) else [value]):
            if any("\ud800" <= letter <= "\udfff" for letter in text):
                shown = os.fsencode(text).decode("utf-8", "backslashreplace")
                raise CallError(f"'{shown}' has bytes that are not UTF-8: expected text; rename the file")
        if isinstance(value, Path) and not str(value).isprintable():
            raise CallError(f"{str(value)!r} has invisible characters: expected a name without them")
