"""The progress bar: one per step, with what is said of the step below it."""

import io
import re

import pytest
from rich.console import Console

import encoder_surgery.shell.progress
from encoder_surgery.shell.progress import working

WORDS = "loss 0.123 align 0.452 uniform -2.13 cosine 0.124 rank 43.1"


@pytest.fixture
def out(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    file = io.StringIO()
    terminal = Console(file=file, width=80, force_terminal=True, color_system=None)
    monkeypatch.setattr(encoder_surgery.shell.progress, "console", lambda **_: terminal)
    return file


def last_frame(out: io.StringIO) -> list[str]:
    """Return the lines as they stand at the end."""
    frame = re.split(r"\x1b\[2K", out.getvalue())[-1]
    return [line.rstrip() for line in re.sub(r"\x1b\[\?25[hl]", "", frame).splitlines() if line.strip()]


def test_words_that_change_stay_with_one_bar(out: io.StringIO) -> None:
    with working() as report:
        report("training it", 1, 3)
        report("training it: loss 9", 1, 3)
        report(f"training it: {WORDS}", 1, 3)
    bar, words = last_frame(out)
    assert bar.startswith("training it ")
    assert "3/3" in bar
    assert words == WORDS


def test_words_after_the_last_step_open_no_bar(out: io.StringIO) -> None:
    with working() as report:
        report("training it", 3, 3)
        report(f"training it: {WORDS}", 0, 3)
    bar, words = last_frame(out)
    assert "3/3" in bar
    assert words == WORDS


def test_a_step_that_comes_again_has_another_bar(out: io.StringIO) -> None:
    with working() as report:
        for _ in range(2):
            report("documents", 5, 5)
        report("queries", 2, 8)
    assert [line.split()[0] for line in last_frame(out)] == ["documents", "documents", "queries"]
    assert ["5/5" in line for line in last_frame(out)] == [True, True, False]


def test_a_bar_fits_a_narrow_terminal_beside_its_words(out: io.StringIO) -> None:
    with working() as report:
        for _ in range(15):
            report(f"training the cut encoder: {WORDS}", 10, 1000)
    bar, words = last_frame(out)
    assert "150/1000" in bar
    assert "steps/s" in bar
    assert "…" not in bar + words
