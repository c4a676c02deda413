"""`probe gate`: its exit code in many cases of known difference."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from gate_cases import board_of, draw_scores
from scipy import stats
from tiny_data import make_dataset
from typer.testing import CliRunner

import cli
from probe.experiments.gate import GatePair

CASES, QUERIES, MARGIN = 200, 100, 0.06


@pytest.fixture
def simulate(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Counter[int]]:
    """Return how to count the exit codes of the command in cases of a known loss; nothing is encoded."""

    data = str(make_dataset(tmp_path / "few"))

    def count(loss: float, cases: int = CASES) -> Counter[int]:
        candidates, baselines = draw_scores("close", cases, QUERIES, loss=loss)
        boards = iter([board_of(*pair) for pair in zip(candidates, baselines, strict=True)])
        monkeypatch.setattr("adaptors.encoders.specs.resolve_gate", lambda *args, **named: GatePair(None, "new"))  # type: ignore[arg-type]
        monkeypatch.setattr(GatePair, "rank", lambda *args: next(boards))
        command = ["gate", "new", "-b", "full", "-d", data, "--margin", str(MARGIN), "-q"]
        return Counter(CliRunner().invoke(cli.probe_app, command).exit_code for _ in range(cases))

    return count


def test_exit_codes_of_200_cases_that_lose_the_margin(simulate: Callable[..., Counter[int]]) -> None:
    codes = simulate(MARGIN)
    assert set(codes) <= {0, 1}
    assert codes[0] <= stats.binom.ppf(0.999, CASES, 0.05)


def test_exit_codes_of_cases_that_lose_nothing(simulate: Callable[..., Counter[int]]) -> None:
    codes = simulate(0.0, 40)
    assert set(codes) <= {0, 1}
    assert codes[0] >= 30


def test_exit_codes_of_cases_that_lose_twice_the_margin(simulate: Callable[..., Counter[int]]) -> None:
    assert simulate(2 * MARGIN, 40)[1] >= 39
