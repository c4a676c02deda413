"""Progress: in a terminal a bar per step, elsewhere a line every 30 seconds; and what an interruption leaves."""

import io
import logging
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

import encoder_surgery.shell.progress
from encoder_surgery.shell.log_lines import set_verbosity
from encoder_surgery.shell.progress import StepLines, working
from probe.store.cached_side import CachedSide

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


class Clock:
    """A clock that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def at(clock: Clock, said: list[str]) -> Callable[[float, str, int, int], None]:
    """Return what reports a step at a time."""
    lines = StepLines(said.append, clock)

    def report(now: float, step: str, done: int, total: int) -> None:
        clock.now = now
        lines.report(step, done, total)

    return report


def test_a_line_every_30_seconds_has_rate_and_time_left(at: Callable[..., None], said: list[str]) -> None:
    at(10, "documents", 400, 57_638)  # ten seconds of loading do not count
    for second in range(11, 121):
        at(second, "documents", 200, 57_638)
    assert said == [
        "documents: 4,400 of 57,638 (200/s, 4 min left)",
        "documents: 10,400 of 57,638 (200/s, 4 min left)",
        "documents: 16,400 of 57,638 (200/s, 3 min left)",
        "documents: 22,400 of 57,638 (200/s, 3 min left)",
    ]


def test_a_rate_is_that_of_the_last_30_seconds(at: Callable[..., None], said: list[str]) -> None:
    at(0, "documents", 0, 9_000)
    at(1, "documents", 6_000, 9_000)  # from the cache
    at(30, "documents", 0, 9_000)
    at(60, "documents", 60, 9_000)
    assert said == ["documents: 6,000 of 9,000 (200/s, 15 s left)", "documents: 6,060 of 9,000 (2/s, 24 min left)"]


def test_a_short_command_says_nothing(at: Callable[..., None], said: list[str]) -> None:
    at(1, "queries", 5, 5)
    at(29, "documents", 5, 10)
    at(31, "documents", 5, 10)
    assert said == []


@pytest.mark.parametrize(
    ("reports", "line"),
    [
        ([(0, 0), (40, 1)], "training it: 1 of 1,000 (0.025/s, 11 h 6 min left) loss 0.1"),
        ([(0, 0), (40, 985)], "training it: 985 of 1,000 (25/s, 1 s left) loss 0.1"),
        ([(40, 3)], "training it: 3 of 1,000 loss 0.1"),
        ([(0, 1000), (5, 10), (40, 10)], "training it: 20 of 1,000 (0.29/s, 57 min left) loss 0.1"),
    ],
)
def test_a_line_fits_slow_and_fast_steps(
    at: Callable[..., None], said: list[str], reports: list[tuple[float, int]], line: str
) -> None:
    for now, done in reports:
        at(now, "training it: loss 0.1", done, 1000)
    assert said == [line]


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """Return what is written where there is no terminal."""
    file = io.StringIO()
    monkeypatch.setattr(encoder_surgery.shell.progress, "console", lambda **_: Console(file=file, width=80))
    return file


def test_without_a_terminal_there_are_no_bars(plain: io.StringIO) -> None:
    with working() as report:
        report("documents", 5, 5)
    assert plain.getvalue() == ""


def log_side(model: str, side: str, cached: int, *, done: int = 0) -> None:
    texts = 799 if side == "queries" else 5_000
    left = 0 if cached == 7 else texts
    counted = CachedSide(model, side, texts, left, cached, 7, "layers", chunks=5, count=lambda: done)
    logging.getLogger("probe.encoding").info("%s", counted)


def test_a_model_has_one_line_on_its_cached_vectors(plain: io.StringIO) -> None:
    with working():
        log_side("minilm", "queries", 0)
        log_side("arctic-m", "queries", 7)
        log_side("minilm", "documents", 0)
        log_side("arctic-m", "documents", 3)
        log_side("minilm", "queries", 0)
    assert plain.getvalue().splitlines() == [
        "Cache: 0/7 layers of minilm; encoding 799 queries and 5,000 documents",
        "Cache: 7/7 layers of arctic-m for queries, 3/7 for documents; encoding 5,000 documents",
    ]


@pytest.mark.parametrize(
    ("models", "line"),
    [
        (["minilm"], "Cache: 7/7 layers of minilm; nothing to encode"),
        (["a", "b", "c"], "Cache: all vectors of 3 models; nothing to encode"),
    ],
)
def test_models_with_nothing_to_encode_share_a_line(plain: io.StringIO, models: list[str], line: str) -> None:
    with working():
        for side in ("queries", "documents", "queries"):
            for model in models:
                log_side(model, side, 7)
    assert plain.getvalue() == line + "\n"


def test_queries_alone_have_their_line_in_the_end(plain: io.StringIO) -> None:
    with working():
        log_side("minilm", "queries", 0)
    assert plain.getvalue() == "Cache: 0/7 layers of minilm; encoding 799 queries\n"


def interrupted(work: Callable[..., None], checkpoints: Path | None = None) -> list[str]:
    """Return the notes of an interruption that comes at the end of some work."""

    def stop(report: object) -> None:
        work(report)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as stopped, working(checkpoints) as report:
        stop(report)
    return stopped.value.__notes__


def test_an_interruption_says_how_much_is_cached(plain: io.StringIO) -> None:
    def encode(report: object) -> None:
        log_side("minilm", "queries", 0, done=5)
        log_side("minilm", "documents", 0, done=2)

    assert interrupted(encode) == ["7 of 10 chunks are cached; the same command continues"]
    assert interrupted(lambda _: log_side("minilm", "documents", 0)) == ["nothing was saved"]
    assert interrupted(lambda _: log_side("minilm", "documents", 7, done=5)) == [
        "all vectors encoded so far are cached; the same command continues"
    ]
    assert interrupted(lambda report: report("documents", 5, 10)) == ["nothing was saved"]


def test_an_interruption_of_a_training_says_whether_it_goes_on(plain: io.StringIO, tmp_path: Path) -> None:
    def train(report: Callable[[str, int, int], None]) -> None:
        report("training it: loss 1", 1, 10)

    def encode_and_train(report: Callable[[str, int, int], None]) -> None:
        log_side("minilm", "documents", 0, done=5)
        train(report)

    assert interrupted(train) == ["nothing was saved"]
    assert interrupted(encode_and_train) == ["the encoded vectors are cached, but nothing of the training was saved"]
    assert interrupted(train, tmp_path) == ["no checkpoint was written yet, so the training starts again"]
    (tmp_path / "round" / "checkpoint-5").mkdir(parents=True)
    (tmp_path / "round" / "checkpoint-5" / "trainer_state.json").touch()
    assert interrupted(train, tmp_path) == [f"the last checkpoint is in {tmp_path}; the same command continues"]


@pytest.mark.parametrize("quiet", [True, False])
def test_quiet_leaves_warnings_alone(out: io.StringIO, quiet: bool) -> None:
    set_verbosity(quiet=quiet, verbose=False)
    try:
        with working() as report:
            report("documents", 5, 10)
            log_side("minilm", "documents", 0)
            logging.getLogger("probe.store").warning("a file is damaged")
    finally:
        set_verbosity(quiet=False, verbose=False)
    shown = [words in out.getvalue() for words in ("5/10", "Cache:", "warning: a file is damaged")]
    assert shown == ([False, False, True] if quiet else [True, True, True])
