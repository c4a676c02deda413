"""Goals: their default, their ranges, their margin."""

import pytest

from adaptors.slimming.goal import DEFAULT_KEEP, SlimGoal
from probe.errors import CallError


def test_without_any_demand_a_share_of_the_score_is_kept() -> None:
    assert SlimGoal().resolve() == SlimGoal(keep=DEFAULT_KEEP)
    assert SlimGoal(max_mb=20).resolve() == SlimGoal(max_mb=20)
    assert SlimGoal(max_mb=20).margin(0.5) is None
    assert SlimGoal(keep=0.9).margin(0.5) == pytest.approx(0.05)


@pytest.mark.parametrize("keep", [0.0, 1.0, 1.5, -0.1, float("nan")])
def test_a_share_outside_zero_and_one_is_refused(keep: float) -> None:
    with pytest.raises(CallError, match="--keep"):
        SlimGoal(keep=keep)


@pytest.mark.parametrize(("demand", "option"), [({"max_ms": 0.0}, "--max-ms"), ({"max_mb": -1.0}, "--max-mb")])
def test_limits_are_positive(demand: dict[str, float], option: str) -> None:
    with pytest.raises(CallError, match=option):
        SlimGoal(**demand)


def test_a_goal_in_words_names_every_demand() -> None:
    words = str(SlimGoal(keep=0.98, max_ms=2, max_mb=20))
    assert words == "keep 98% of the full model's score and at most 2 ms per query and at most 20 MB of weights"
