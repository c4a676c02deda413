"""What is being made is hidden and locked; what a killed process left is found and removed, and nothing else is."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from probe.io import staging as staging_module
from probe.io.files import replace_folder
from probe.io.staging import find_dead, scratch_files, staging, sweep

CHILD = """
import sys, time
from pathlib import Path
from probe.io.files import replace_folder

def fill(folder):
    (folder / "half").write_text("half")
    print("writing", flush=True)
    time.sleep(60)

replace_folder(Path(sys.argv[1]), fill)
"""


@pytest.fixture
def writer(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process that is making the folder `out`."""
    with subprocess.Popen([sys.executable, "-c", CHILD, tmp_path / "out"], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "writing\n"
        yield child
        child.kill()


def hidden(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.name.startswith("."))


def test_what_a_killed_process_left_is_removed_by_the_next_writer(
    tmp_path: Path, writer: "subprocess.Popen[str]"
) -> None:
    (left,) = hidden(tmp_path)
    assert sweep(tmp_path) == find_dead([left]) == []  # it is alive
    os.kill(writer.pid, signal.SIGSTOP)
    assert sweep(tmp_path) == []  # and still is
    writer.kill()
    writer.wait()
    assert find_dead([left]) == [left]
    replace_folder(tmp_path / "other", lambda folder: None)
    assert sorted(os.listdir(tmp_path)) == ["other"]


def test_what_was_killed_before_it_was_locked_or_while_it_was_removed_goes_too(tmp_path: Path) -> None:
    left = tmp_path / ".a-0123456789abcdef.part"
    left.mkdir()
    assert find_dead([left]) == [left]
    (left / "lock").unlink()
    assert sweep(tmp_path) == [left]
    assert hidden(tmp_path) == []


def test_what_is_in_use_here_is_not_removed(tmp_path: Path) -> None:
    with staging(tmp_path / "a") as made:
        made.mkdir()
        assert sweep(tmp_path) == []
        assert made.is_dir()
    assert hidden(tmp_path) == []


@pytest.mark.parametrize("name", [".git", ".a.part", ".a-0123456789abcdef.par"])
def test_nothing_of_others_is_removed(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "made").write_text("theirs")
    assert sweep(tmp_path) == []
    assert (tmp_path / name / "made").exists()


def test_a_folder_nobody_can_lock_is_never_taken_for_a_dead_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(staging_module.fcntl, "flock", refuse)
    with staging(tmp_path / "a") as made:
        made.mkdir()
        assert sweep(tmp_path) == []
        assert made.is_dir()


def test_temporary_files_lie_in_a_private_folder_that_is_gone_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left = tmp_path / ".encoder-surgery-0123456789abcdef.part"
    left.mkdir()
    (left / "lock").touch()
    with scratch_files(), tempfile.TemporaryDirectory() as folder:
        assert Path(folder).parent.stat().st_mode & 0o077 == 0
        assert Path(folder).is_relative_to(tmp_path)
        assert not left.exists()
    assert (hidden(tmp_path), tempfile.gettempdir()) == ([], str(tmp_path))


def test_a_machine_without_room_for_temporary_files_still_runs_what_needs_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with scratch_files():
        assert tempfile.gettempdir() == str(tmp_path / "nowhere")


def test_a_sweep_waits_for_nobody(tmp_path: Path) -> None:
    with staging(tmp_path / "a"):
        began = time.monotonic()
        sweep(tmp_path)
        assert time.monotonic() - began < 1
