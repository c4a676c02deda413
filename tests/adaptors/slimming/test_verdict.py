"""The final test: what is said of a goal that is not shown to be met, and that the test is the one it claims to be."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adaptors.slimming import verdict as verdict_module
from adaptors.slimming.goal import SlimGoal
from adaptors.slimming.verdict import FinalTest, list_unmet, take_test
from probe.data.dataset import Dataset
from probe.experiments.options import RunOptions
from probe.metrics.non_inferiority import non_inferiority_p_values
from probe.results.leaderboard import Leaderboard, Row

FULL = Row(1, "full", scores={"ndcg@10": 0.5})


def make_test(delta: float, p_value: float | None) -> FinalTest:
    best = Row(2, "best", scores={"ndcg@10": 0.5 + delta}, delta=delta)
    board: Any = None
    return FinalTest(FULL, best, None if p_value is None else 0.01, p_value, 0.02, board)


def unmet(goal: SlimGoal, test: FinalTest, ms: float = 1.0, megabytes: float = 10.0) -> list[str]:
    return list_unmet(goal, test, queries=300, ms_per_query=ms, megabytes=megabytes)


def test_a_goal_that_the_test_shows_is_met() -> None:
    assert unmet(SlimGoal(keep=0.98, max_ms=2, max_mb=20), make_test(0.0, 0.01)) == []


def test_a_loss_within_the_margin_that_is_not_shown_names_what_the_queries_can_show() -> None:
    (words,) = unmet(SlimGoal(keep=0.98), make_test(-0.005, 0.2))
    assert words.startswith("it keeps 99.0% of the full model's score on 300 test queries, at least 98% is demanded")
    assert "margins of about 0.02 or more" in words


def test_a_loss_beyond_the_margin_is_no_matter_of_queries() -> None:
    (words,) = unmet(SlimGoal(keep=0.98), make_test(-0.05, 0.9))
    assert words == "it keeps 90.0% of the full model's score on 300 test queries, at least 98% is demanded"


def test_of_a_full_model_that_finds_nothing_there_is_no_share() -> None:
    test = replace(make_test(0.0, 1.0), full=replace(FULL, scores={"ndcg@10": 0.0}))
    (words,) = unmet(SlimGoal(keep=0.98), test)
    assert words == "the full model finds nothing on 300 test queries, so there is nothing to keep"


def test_every_demand_that_is_missed_is_named() -> None:
    words = unmet(SlimGoal(keep=0.98, max_ms=2, max_mb=20), make_test(-0.05, 0.9), ms=3.0, megabytes=30.0)
    assert len(words) == 3
    assert "3.00 ms per query were measured, 2 allowed" in words
    assert "its weights have 30.0 MB, 20 allowed" in words


def test_time_and_size_are_no_demand_unless_they_are_given() -> None:
    assert unmet(SlimGoal(max_mb=20), make_test(-0.4, None), ms=99.0) == []


def test_the_margin_and_the_test_are_of_the_two_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    dice = np.random.default_rng(0)
    full = dice.uniform(0.3, 0.9, 100)
    best = full + dice.normal(0.001, 0.03, 100)
    rows = (
        Row(1, "smaller", scores={"ndcg@10": float(best.mean())}, delta=float((best - full).mean())),
        Row(2, "full", scores={"ndcg@10": float(full.mean())}),
    )
    board = Leaderboard("", "", {}, rows, None, (tuple(best), tuple(full)))
    monkeypatch.setattr(verdict_module, "rank", lambda *args, **named: board)
    data: Any = Dataset
    found = take_test("full", Path("best"), data, goal=SlimGoal(keep=0.98), options=RunOptions(seed=3))
    assert (found.full.encoder, found.best.encoder) == ("full", "smaller")
    assert found.margin == pytest.approx(0.02 * full.mean())
    (expected,) = non_inferiority_p_values(best[None], full, 0.02 * full.mean(), seed=3)
    assert found.p_value == pytest.approx(expected)
    assert found.resolution == pytest.approx(1.6449 * (best - full).std(ddof=1) / 10, rel=1e-3)
