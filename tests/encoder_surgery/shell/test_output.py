"""Files that a user names are checked before the work and never replace what came meanwhile."""

import os
from pathlib import Path

import pytest

from encoder_surgery.shell import output
from encoder_surgery.shell.output import ResultFlags, check_file, write_file, write_text
from probe.errors import CallError, ProbeError
from probe.results.leaderboard import Leaderboard, Row
from probe.results.result import Result

SUFFIXES = (".json",)


def test_what_was_there_before_the_work_is_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a.json"
    for text in ("one", "two"):
        check_file("--save", file, SUFFIXES, force=True)
        write_text(text, file)
    assert file.read_text() == "two"
    assert capsys.readouterr().err == f"saved {file}\n" * 2


@pytest.mark.parametrize("there", [True, False])
def test_what_came_meanwhile_stays(tmp_path: Path, there: bool) -> None:
    file = tmp_path / "a.json"
    if there:
        file.write_text("before")
    check_file("--save", file, SUFFIXES, force=True)
    file.write_text("of another command")
    with pytest.raises(ProbeError, match=r"a.json' was changed by another process and is left unchanged.*a-1.json"):
        write_text("ours", file)
    assert file.read_text() == "of another command"
    assert (tmp_path / "a-1.json").read_text() == "ours"
    assert len(os.listdir(tmp_path)) == 2


def test_a_full_disk_is_said_and_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text("before")
    check_file("--save", file, SUFFIXES, force=True)

    def fail(made: Path) -> None:
        made.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(ProbeError, match=r"a.json' cannot be written: no space left on disk$"):
        write_file(file, fail)
    assert file.read_text() == "before"
    assert os.listdir(tmp_path) == ["a.json"]


def test_what_is_no_ordinary_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.json")
    with pytest.raises(CallError, match="not a regular file"):
        check_file("--save", tmp_path / "a.json", SUFFIXES, force=False)


def test_an_existing_file_is_overwritten_with_force_only(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text("before")
    for wanted in ({"save": file}, {"plot": file.with_suffix(".png")}):
        wanted[next(iter(wanted))].touch()
        with pytest.raises(CallError, match=r"exists: choose another name, or overwrite it with --force"):
            ResultFlags(**wanted).check("leaderboard")
        ResultFlags(**wanted, force=True).check("leaderboard")


def test_nothing_is_remembered_of_a_file_that_was_written(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    check_file("--save", file, SUFFIXES, force=True)
    write_text("one", file)
    write_text("two", file)
    assert file.read_text() == "two"
    assert file not in output._checked


class Painted(Result):
    """A result of one word."""

    def to_json(self) -> str:
        """Return it."""
        return "painted\n"


@pytest.mark.parametrize("disturbed", ["full", "taken"])
def test_a_file_that_cannot_be_written_does_not_cost_the_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], disturbed: str
) -> None:
    flags = ResultFlags(format="json", save=tmp_path / "a.json", force=True)
    flags.check("leaderboard")
    if disturbed == "taken":
        (tmp_path / "a.json").write_text("theirs")
    else:
        monkeypatch.setattr(Path, "write_text", _refuse)
    with pytest.raises(ProbeError):
        flags.emit(Painted.__new__(Painted))
    assert capsys.readouterr().out == "painted\n"


def _refuse(*args: object, **options: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (ResultFlags(columns="encoder,foo"), "unknown column 'foo': expected some of rank, encoder, "),
        (ResultFlags(columns="encoder", format="csv"), "--columns is for --format table or markdown"),
        (ResultFlags(details=True, format="json"), "--details is for --format table: json has all settings"),
    ],
    ids=["unknown", "columns of csv", "details of json"],
)
def test_a_view_that_cannot_be_is_refused_before_the_work(flags: ResultFlags, words: str) -> None:
    with pytest.raises(CallError, match=words):
        flags.check("leaderboard")


def test_a_metric_that_a_table_lacks_costs_nothing_but_the_choice(capsys: pytest.CaptureFixture[str]) -> None:
    settings = {"dataset": {"name": "notes", "synthetic": None, "limited": False, "defects": []}, "models": []}
    settings |= {"metric": "ndcg@10", "metrics": ["ndcg@10"], "baseline": "a"}
    row = Row(1, "a", scores={"ndcg@10": 0.5})
    board = Leaderboard("", "", {**settings, "dataset": {**settings["dataset"], "documents": 1, "queries": 2}}, (row,))
    flags = ResultFlags(columns="encoder,map@5")
    flags.check("leaderboard")
    with pytest.raises(CallError, match="unknown column 'map@5'"):
        flags.emit(board)
    assert "0.5000" in capsys.readouterr().out
