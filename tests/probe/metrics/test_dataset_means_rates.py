"""Stated rates of tests and intervals over data sets, in simulations of data sets with unequal numbers of queries.

All simulations of a setting are rows of one call, which share their resamples: 10,000 of them leave little noise beside
that of 200 simulations. `pytest -m long -s` prints the rates; those of `benchmarks/NOTES.md` are from more simulations.
"""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from probe.metrics.dataset_means import (
    detectable_differences,
    mean_intervals,
    mean_p_values,
    population_intervals,
    stratified_non_inferiority_p_values,
)
from probe.metrics.non_inferiority import non_inferiority_p_values
from probe.metrics.significance import holm

pytestmark = pytest.mark.long

Scores = NDArray[np.float64]
Interval = tuple[float, float] | None

SIMULATIONS = 200
ALPHA, CONFIDENCE = 0.05, 0.95
SIZES = {
    2: (30, 500),
    3: (30, 120, 500),
    5: (30, 60, 120, 300, 500),
    13: (30, 30, 45, 60, 80, 100, 120, 150, 200, 250, 300, 400, 500),
}
MARGIN, ENCODERS = 0.02, 10

each_count = pytest.mark.parametrize("count", [2, 5, 13])
each_shape = pytest.mark.parametrize("shape", ["exchangeable", "skewed"])


def draw_differences(count: int, shape: str, rows: int, seed: int = 0) -> list[Scores]:
    """Draw differences of nDCG with a true mean of 0: half of them 0, data sets of unequal spread.

    Exchangeable ones have the same distribution with the other sign. Skewed ones are rarer and larger where they are
    losses: a skewness of -0.75.
    """
    rng = np.random.default_rng((count, seed))
    scales = np.resize([1.0, 0.4, 0.7, 0.3, 0.55], count)
    sets = []
    for size, scale in zip(SIZES[count], scales, strict=True):
        drawn, live = rng.random((rows, size)), rng.random((rows, size)) < 0.5
        losses = rng.random((rows, size)) < (0.4 if shape == "skewed" else 0.5)
        loss = -1.5 * drawn if shape == "skewed" else -drawn
        sets.append(0.6 * scale * live * np.where(losses, loss, drawn))
    return sets


def draw_scores(count: int, rows: int) -> tuple[list[Scores], float]:
    """Draw nDCG of queries, a third 0 and a fifth 1, and return them with the true mean over data sets."""
    rng = np.random.default_rng((count, 1))
    sets, means = [], []
    for number, size in enumerate(SIZES[count]):
        nothing, all_found = 0.25 + 0.05 * (number % 4), 0.2
        kind, between = rng.random((rows, size)), 0.2 + 0.8 * rng.random((rows, size)) ** 2
        sets.append(np.where(kind < nothing, 0.0, np.where(kind < nothing + all_found, 1.0, between)))
        means.append(all_found + (1 - nothing - all_found) * (0.2 + 0.8 / 3))
    return sets, float(np.mean(means))


def differences_in_general(count: int, spread: float, rows: int) -> list[Scores]:
    """Draw data sets whose true differences have a mean of 0 and a standard deviation."""
    effects = np.random.default_rng((count, 2)).normal(0, spread, (count, rows, 1))
    return [one + effect for one, effect in zip(draw_differences(count, "skewed", rows), effects, strict=True)]


def rejected(p_values: Sequence[float | None]) -> int:
    return sum(p is not None and p < ALPHA for p in p_values)


def covered(intervals: Sequence[Interval], truth: float) -> int:
    return sum(one is not None and one[0] <= truth <= one[1] for one in intervals)


def bounds(rate: float, simulations: int = SIMULATIONS) -> tuple[int, int]:
    """Return between which counts 99 % of all experiments are."""
    low, high = stats.binom.interval(0.99, simulations, rate)
    return int(low), int(high)


def report(what: str, count: int, simulations: int = SIMULATIONS) -> None:
    print(f"\n{what}: {count / simulations:.4f} of {simulations}", end="")  # noqa: T201


@each_shape
@each_count
def test_the_test_of_the_mean_rejects_a_true_null_at_its_level(count: int, shape: str) -> None:
    found = rejected(mean_p_values(draw_differences(count, shape, SIMULATIONS), 0))
    report(f"rejected, {count} data sets, {shape}", found)
    low, high = bounds(ALPHA)
    assert low <= found <= high


@each_count
def test_one_of_ten_encoders_is_called_different_no_more_often_than_stated(count: int) -> None:
    sets = draw_differences(count, "exchangeable", SIMULATIONS * ENCODERS)
    p_values = np.array(mean_p_values(sets, 0), dtype=float).reshape(SIMULATIONS, ENCODERS)
    found = sum(min(holm(row)) < ALPHA for row in p_values.tolist())
    report(f"family-wise error of {ENCODERS} encoders, {count} data sets", found)
    low, high = bounds(ALPHA)
    assert low <= found <= high


@each_count
def test_intervals_of_the_mean_cover_it_as_often_as_stated(count: int) -> None:
    scores, truth = draw_scores(count, SIMULATIONS)
    found = covered(mean_intervals(scores, 0), truth)
    report(f"covered, {count} data sets", found)
    low, high = bounds(CONFIDENCE)
    assert low <= found <= high


@pytest.mark.parametrize("spread", [0.0, 0.03, 0.2])
@pytest.mark.parametrize("count", [3, 5, 13])
def test_intervals_in_general_cover_the_general_mean_as_often_as_stated(count: int, spread: float) -> None:
    sets = differences_in_general(count, spread, SIMULATIONS)
    intervals = population_intervals(sets, 0)
    found = covered(intervals, 0.0)
    # Student's interval of the means alone is as narrow as one of this rate can be.
    means = np.stack([one.mean(axis=1) for one in sets])
    student = 2 * stats.t.ppf(0.975, count - 1) * means.std(axis=0, ddof=1) / count**0.5
    width = np.mean([high - low for low, high in intervals]) / student.mean()  # type: ignore[misc]
    report(f"covered in general, {count} data sets, spread {spread} (width {width:.2f} of Student's)", found)
    low, high = bounds(CONFIDENCE)
    assert found >= low
    assert width < 1.25
    if spread == 0.2:
        assert found <= high
        assert width == pytest.approx(1, abs=0.01)


def test_two_data_sets_have_no_interval_in_general() -> None:
    assert population_intervals(differences_in_general(2, 0.1, 3), 0) == [None] * 3


def at_the_margin(count: int, shape: str) -> tuple[list[Scores], list[Scores]]:
    """Return scores worse than their baselines by the margin in truth."""
    sets = draw_differences(count, shape, SIMULATIONS)
    baselines = [np.full(one.shape[1], 0.5) for one in sets]
    return [one + 0.5 - MARGIN for one in sets], baselines


@each_shape
@each_count
def test_encoders_worse_by_the_margin_are_called_as_good_no_more_often_than_stated(count: int, shape: str) -> None:
    scores, baselines = at_the_margin(count, shape)
    found = rejected(stratified_non_inferiority_p_values(scores, baselines, MARGIN, seed=0))
    report(f"called as good on average, {count} data sets, {shape}", found)
    assert found <= bounds(ALPHA)[1]


@each_count
def test_encoders_worse_on_one_data_set_are_called_as_good_on_all_no_more_often_than_stated(count: int) -> None:
    scores, baselines = at_the_margin(count, "exchangeable")
    # Far better everywhere else: the hardest case of a test that has to pass on every data set.
    scores = [scores[0], *(one + 0.5 for one in scores[1:])]
    each = [
        non_inferiority_p_values(one, baseline, MARGIN, seed=0) for one, baseline in zip(scores, baselines, strict=True)
    ]
    found = rejected(np.max(each, axis=0).tolist())
    report(f"called as good on each, {count} data sets", found)
    assert found <= bounds(ALPHA)[1]


@each_count
def test_the_detectable_difference_is_found_in_four_of_five_cases(count: int) -> None:
    sets = draw_differences(count, "exchangeable", 1000)
    least = float(np.median(detectable_differences(sets)))  # type: ignore[arg-type]
    found = rejected(mean_p_values([one + least for one in sets], 0))
    report(f"power at {least:.4f}, {count} data sets", found, 1000)
    low, high = bounds(0.8, 1000)
    assert low <= found <= high
