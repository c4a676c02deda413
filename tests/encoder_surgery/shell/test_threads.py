"""--threads: which commands have it, that it is set before the command computes and afterwards as it was."""

import os
import sys
from typing import Annotated

import pytest
import torch
from typer.testing import CliRunner

import cli
from encoder_surgery.shell import process
from encoder_surgery.shell.app import app, flag, friendly
from encoder_surgery.shell.engine import ThreadsFlag
from probe.scale import processors

SEEN: list[tuple[str | None, str | None, int]] = []


@friendly
def look(name: Annotated[str, flag("Name.")] = "a", *, threads: ThreadsFlag) -> None:
    """Look at the threads."""
    SEEN.append((os.environ.get("OMP_NUM_THREADS"), os.environ.get("RAYON_NUM_THREADS"), torch.get_num_threads()))


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend a machine of four processors, two of them for this process."""
    SEEN.clear()
    monkeypatch.setattr(processors.os, "cpu_count", lambda: 4)
    monkeypatch.setattr(processors, "usable_processors", lambda: 2)
    for name in ("OMP_NUM_THREADS", "RAYON_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)


def run(*arguments: str) -> None:
    before = torch.get_num_threads()
    result = CliRunner().invoke(app("Look.", "look", {"look": look}), ["look", *arguments])
    assert result.exit_code == 0, result.stderr
    assert torch.get_num_threads() == before
    assert not {"OMP_NUM_THREADS", "RAYON_NUM_THREADS"} & os.environ.keys()


def test_the_number_is_set_while_the_command_runs() -> None:
    run("--threads", "3")
    run()
    assert SEEN == [("3", "3", 3), ("2", None, 2)]


def test_what_the_user_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    CliRunner().invoke(app("Look.", "look", {"look": look}), ["look"])
    CliRunner().invoke(app("Look.", "look", {"look": look}), ["look", "--threads", "2"])
    assert SEEN == [("1", None, 1), ("2", "2", 2)]
    assert os.environ["OMP_NUM_THREADS"] == "1"


def test_it_is_set_before_torch_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch")
    with process.with_threads(None):
        assert os.environ["OMP_NUM_THREADS"] == "2"


def test_a_wrong_number_is_one_line() -> None:
    result = CliRunner().invoke(cli.probe_app, ["layers", "--threads", "0"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "error: --threads 0: expected 1 to 4, the number of processors of this machine\n"


@pytest.mark.parametrize(
    "command",
    [
        *("probe layers", "probe rank", "probe geometry", "probe classify", "probe similarity", "probe gate"),
        *("probe plan", "surgery inspect", "surgery cut", "surgery keep", "surgery fuse", "surgery trim"),
        *("surgery slim", "adaptors fit", "adaptors rank", "adaptors heal", "adaptors tune"),
    ],
)
def test_commands_that_run_a_model_have_it(command: str) -> None:
    program, name = command.split()
    result = CliRunner().invoke(getattr(cli, f"{program}_app"), [name, "--help"], env={"COLUMNS": "200"})
    assert "--threads" in result.stdout
