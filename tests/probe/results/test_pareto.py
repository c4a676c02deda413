"""The Pareto front against its definition in plain loops."""

import random

import pytest

from probe.results.charts import pareto_front

Point = tuple[float, float]


def dominates(one: Point, other: Point) -> bool:
    return one[0] <= other[0] and one[1] >= other[1] and one != other


def reference(points: list[Point]) -> set[int]:
    return {i for i, point in enumerate(points) if not any(dominates(other, point) for other in points)}


@pytest.mark.parametrize("seed", range(60))
def test_the_front_is_what_nothing_dominates(seed: int) -> None:
    dice = random.Random(seed)
    steps = dice.choice([2, 4, 100])  # few steps make many ties
    points = [(float(dice.randrange(steps)), dice.randrange(steps) / steps) for _ in range(dice.randint(1, 14))]
    front = pareto_front(points)
    assert set(front) == reference(points)
    assert len(set(front)) == len(front)
    assert [points[place] for place in front] == sorted(points[place] for place in front)


def test_equal_points_are_on_the_front_together_in_their_order() -> None:
    assert pareto_front([(2, 0.5), (1, 0.3), (2, 0.5)]) == (1, 0, 2)
    assert pareto_front([(2, 0.5), (1, 0.6), (2, 0.5)]) == (1,)


def test_at_equal_cost_the_better_and_at_equal_score_the_cheaper() -> None:
    assert pareto_front([(1, 0.2), (1, 0.3)]) == (1,)
    assert pareto_front([(2, 0.3), (1, 0.3)]) == (1,)
    assert pareto_front([]) == ()
