"""Commands as processes: signals, readers that leave, streams that are full or closed, bytes that are no text."""

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import pytest
from typer.testing import CliRunner, Result

from encoder_surgery.shell.app import app, flag, friendly

# Every way to print, once much and once little.
HOUSE = """
import sys, time
from pathlib import Path
import typer
from encoder_surgery.shell.app import app, friendly
from encoder_surgery.shell.output import console
from encoder_surgery.shell.progress import working
from probe.io.files import replace_folder

@friendly
def paint(how: str, lines: int = 1, out: Path = Path("house")) -> None:
    "Paint a house."
    if how == "echo":
        typer.echo("wall\\n" * lines, nl=False)
    elif how == "rich":
        for _ in range(lines):
            console().print("wall")
    elif how == "name":
        typer.echo(str(Path(sys.argv[3])))
    elif how == "long":
        with working() as report:
            report("painting", 0, 9)
            def fill(folder):
                (folder / "wall").write_text("half")
                print("begun", flush=True)
                time.sleep(60)
            replace_folder(out, fill)

house = app("Houses. " * 400, "house paint echo", {"house paint echo": paint})
house()
"""


def start(*arguments: str | bytes, **options: object) -> "subprocess.Popen[bytes]":
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    command = [] if arguments == ("--help",) else ["paint"]
    return subprocess.Popen([sys.executable, "-c", HOUSE, *command, *arguments], **pipes)  # type: ignore[call-overload,no-any-return]


@pytest.mark.parametrize("arguments", [["echo"], ["echo", "--lines", "9999"], ["rich", "--lines", "99"], ["--help"]])
def test_a_reader_that_leaves_ends_a_command_in_silence(arguments: list[str]) -> None:
    child = start(*arguments)
    assert child.stdout is not None
    child.stdout.close()
    assert (child.communicate()[1], child.returncode) == (b"", 141)


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="there is no /dev/full")
@pytest.mark.parametrize("arguments", [["echo"], ["echo", "--lines", "9999"], ["rich"], ["--help"]])
def test_a_full_disk_below_the_output_is_said(arguments: list[str]) -> None:
    with open("/dev/full", "wb") as full:
        child = start(*arguments, stdout=full)
        said = child.communicate()[1].decode()
    assert child.returncode == 1
    assert said.startswith("error: ")
    assert said.endswith("no space left on disk\n")
    assert said.count("\n") == 1


def test_a_closed_output_is_no_error() -> None:
    child = start("echo", stdout=None, preexec_fn=lambda: os.close(1))
    assert (child.communicate()[1], child.returncode) == (b"", 0)


@pytest.mark.parametrize(
    ("number", "exit_code", "words"),
    [
        (signal.SIGTERM, 143, "terminated"),
        (signal.SIGHUP, 129, "terminated"),
        (signal.SIGINT, 130, "interrupted"),
    ],
)
def test_a_signal_ends_a_command_in_a_line_and_leaves_nothing(
    tmp_path: Path, number: int, exit_code: int, words: str
) -> None:
    # A shell's background job ignores Ctrl-C, and so would what it starts.
    child = start("long", "--out", str(tmp_path / "out"), preexec_fn=lambda: signal.signal(number, signal.SIG_DFL))
    assert child.stdout is not None
    assert child.stdout.readline() == b"begun\n"
    child.send_signal(number)
    said = child.communicate()[1].decode()
    assert child.returncode == exit_code
    assert said.splitlines()[-1] == f"error: {words}: nothing was saved"
    assert os.listdir(tmp_path) == []


def test_a_signal_that_is_ignored_stays_ignored(tmp_path: Path) -> None:
    child = start(
        "long", "--out", str(tmp_path / "out"), preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"begun\n"
    child.send_signal(signal.SIGHUP)
    time.sleep(0.2)
    assert child.poll() is None
    child.terminate()
    child.communicate()


@pytest.mark.parametrize("arguments", [[b"echo", b"--out", b"a\xff"], [b"echo", b"\xff"], [b"--\xff"]])
def test_bytes_that_are_no_text_are_refused_in_words(arguments: list[bytes]) -> None:
    child = start(*arguments)
    out, said = child.communicate()
    assert (out, child.returncode) == (b"", 2)
    assert b"Traceback" not in said


@friendly
def fail(how: str, out: Annotated[Path, flag("Where.")] = Path("out")) -> None:
    """Fail."""
    raise FAILURES[how]()


def _chained(cause: Exception) -> Exception:
    error = RuntimeError("cannot save")
    error.__cause__ = cause
    return error


FAILURES: dict[str, Callable[[], Exception]] = {
    "full": lambda: OSError(errno.ENOSPC, "No space left on device", "/a/b"),
    "behind": lambda: _chained(OSError(errno.ENOSPC, "No space left on device")),
    "rust": lambda: RuntimeError("Error while serializing: I/O error: File too large (os error 27)"),
    "torch": lambda: RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534"),
    "memory": MemoryError,
    "allocator": lambda: RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    "deep": lambda: RecursionError("maximum recursion depth exceeded"),
    "import": lambda: ImportError("libfoo.so: cannot open shared object file"),
    "pipe": lambda: _chained(ValueError("x")),
}


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app("Fail.", "fail", {"fail": fail, "fail again": fail}), ["fail", *arguments])


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("full", "error: system error: '/a/b': no space left on disk\n"),
        ("behind", "error: system error: no space left on disk\n"),
        ("rust", "error: system error: file too large for this file system\n"),
        ("torch", "error: system error: torch could not write a file: disk full?\n"),
        ("memory", "error: out of memory (MemoryError): use smaller batches or a machine with more memory\n"),
        ("allocator", "error: out of memory (DefaultCPUAllocator: can't allocate memory: you tried to "),
        ("deep", "error: the input is nested too deeply (maximum recursion depth exceeded)\n"),
        ("import", "error: a package cannot be imported (libfoo.so: cannot open shared object file): the "),
        ("pipe", "error: internal error, please report (--debug for the traceback): RuntimeError: cannot save\n"),
    ],
)
def test_what_the_system_refuses_is_no_fault_of_ours(how: str, words: str) -> None:
    failed = run(how)
    assert failed.exit_code == 1
    assert failed.stderr.startswith(words)
    assert failed.stderr.count("\n") == 1


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[31m", "a\x07"])
def test_a_path_with_characters_nobody_sees_is_refused(name: str) -> None:
    failed = run("full", "--out", name)
    assert (failed.exit_code, failed.stderr.count("\n")) == (2, 1)
    assert "has invisible characters" in failed.stderr


@pytest.mark.parametrize("name", ["-", "--out", "a b", "a+b@5:mean", "é", "日本"])
def test_other_names_are_taken(name: str) -> None:
    assert "system error" in run("full", f"--out={name}").stderr
