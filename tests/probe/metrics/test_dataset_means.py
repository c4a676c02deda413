"""Statistics of means over data sets against enumeration, plain loops, scipy and answers by hand."""

import itertools
import random
import tracemalloc
from collections.abc import Sequence
from fractions import Fraction
from statistics import fmean, stdev, variance

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
from probe.metrics.significance import (
    RESAMPLES,
    bootstrap_intervals,
    flip_signs,
    paired_p_values,
)

Scores = NDArray[np.float64]

# Two, three and four queries: 512 sign patterns. Tenths, whose sums in floating point depend on their order.
TENTHS = ([3, -1], [2, 4, -3], [1, 5, 2, -2])


def in_tenths(sets: Sequence[Sequence[int]]) -> list[Scores]:
    return [np.array([values], dtype=float) / 10 for values in sets]


def enumerate_flips(sets: Sequence[Sequence[Fraction]]) -> list[Fraction]:
    """Return the mean over data sets of all patterns of signs, the observed one first."""
    patterns = itertools.product(*(itertools.product((1, -1), repeat=len(values)) for values in sets))
    return [
        sum(
            (
                sum((sign * value for sign, value in zip(signs, values, strict=True)), Fraction(0)) / len(values)
                for signs, values in zip(pattern, sets, strict=True)
            ),
            Fraction(0),
        )
        / len(sets)
        for pattern in patterns
    ]


def as_fractions(sets: Sequence[Sequence[int]], shift: int = 0) -> list[list[Fraction]]:
    return [[Fraction(value + shift, 10) for value in values] for values in sets]


def sampling_error(share: float) -> float:
    """Return how far a share of resamples is from its expectation, four standard errors at most."""
    return float(4 * (share * (1 - share) / RESAMPLES) ** 0.5 + 1 / RESAMPLES)


def draw_sets(seed: int, *sizes: int, rows: int = 1, shift: float = 0.02) -> list[Scores]:
    rng = np.random.default_rng(seed)
    return [rng.normal(shift, 0.3, (rows, size)) * (rng.random((rows, size)) < 0.5) for size in sizes]


@pytest.mark.parametrize("sets", [TENTHS, TENTHS[:2], ([1, 2, -3, 1, 1], [2, 2]), ([1, 1, 1, 1, 1, 1], [-2, -2])])
def test_p_values_agree_with_the_enumeration_of_all_signs(sets: Sequence[Sequence[int]]) -> None:
    means = enumerate_flips(as_fractions(sets))
    expected = fmean(abs(mean) >= abs(means[0]) for mean in means)
    assert mean_p_values(in_tenths(sets), 0)[0] == pytest.approx(expected, abs=sampling_error(expected))


@pytest.mark.parametrize("margin", [1, 2, 4])
def test_non_inferiority_agrees_with_the_enumeration_of_all_signs(margin: int) -> None:
    means = enumerate_flips(as_fractions(TENTHS, margin))
    expected = fmean(mean >= means[0] for mean in means)
    baselines = [np.full(len(values), 0.5) for values in TENTHS]
    scores = [one + baseline for one, baseline in zip(in_tenths(TENTHS), baselines, strict=True)]
    found = stratified_non_inferiority_p_values(scores, baselines, margin / 10, seed=0)[0]
    assert found == pytest.approx(expected, abs=sampling_error(expected))


def test_p_value_by_hand() -> None:
    # Every flip away from the observed signs makes the mean smaller: two patterns of 2^7 are as extreme.
    assert mean_p_values([np.ones((1, 3)), np.ones((1, 4))], 0)[0] == pytest.approx(2 / 128, abs=sampling_error(1 / 64))


def test_a_tie_with_the_observed_mean_counts_whatever_the_order_of_the_sum() -> None:
    # 0.1 + 0.2 is not 0.3 in floating point; three of four patterns tie or exceed an observed sum of zero.
    sets = [np.array([[0.1, 0.2, -0.3]]), np.array([[0.3, -0.2, -0.1]])]
    assert mean_p_values(sets, 0) == [1.0]


def test_intervals_agree_with_scipy_on_every_stratum() -> None:
    sets = draw_sets(1, 40, 150, 400)
    expected = stats.bootstrap(
        tuple(one[0] for one in sets),
        lambda *samples, axis: np.mean([sample.mean(axis=axis) for sample in samples], axis=0),
        method="percentile",
        rng=1,
    ).confidence_interval
    assert mean_intervals(sets, 0)[0] == pytest.approx(tuple(expected), abs=0.03 * (expected.high - expected.low))


def test_intervals_agree_with_the_enumeration_of_all_resamples() -> None:
    sets = [[0.0, 1.0], [0.0, 0.3, 0.9]]
    each = [[fmean(drawn) for drawn in itertools.product(values, repeat=len(values))] for values in sets]
    means = [fmean(pair) for pair in itertools.product(*each)]
    # Both ends lie well within a value that several resamples have.
    low, high = np.quantile(np.repeat(means, 100), [0.025, 0.975])
    assert mean_intervals([np.array([values]) for values in sets], 0)[0] == pytest.approx((low, high), abs=1e-12)


def reference_population(sets: Sequence[Scores], rounds: int) -> tuple[float, float]:
    """Return the interval over data sets in general of a single row, in plain loops."""
    dice, values, count = random.Random(5), [one[0].tolist() for one in sets], len(sets)
    means = [fmean(queries) for queries in values]
    centre, noise = fmean(means), fmean(variance(queries) / len(queries) for queries in values)
    plain = fmean((mean - centre) ** 2 for mean in means)
    shrinkage = (max(0.0, variance(means) - noise) / plain) ** 0.5
    found = []
    for _ in range(rounds):
        total = 0.0
        for _ in range(count):
            one = dice.randrange(count)
            resampled = fmean(dice.choices(values[one], k=len(values[one])))
            total += centre + shrinkage * (means[one] - centre) + resampled - means[one]
        found.append(total / count)
    spread, error = stdev(means) / count**0.5, stdev(found)
    student = stats.t.ppf(0.975, count - 1)
    reach = student * error if spread > error else max(1.95996 * error, student * spread)
    return centre - reach, centre + reach


def draw_around(means: Sequence[float], *sizes: int) -> list[Scores]:
    """Draw data sets with exactly these means."""
    return [one - one.mean() + mean for one, mean in zip(draw_sets(2, *sizes), means, strict=True)]


@pytest.mark.parametrize(
    ("means", "sizes"),
    [
        # No more spread than that of the queries, and so little that Student's t does not count.
        ((0.0, 0.0, 0.01), (20, 35, 60)),
        ((0.03, 0.0, 0.05, 0.01, 0.02), (8, 15, 30, 20, 40)),
        # Less spread than that of the queries, but of too few data sets.
        ((-0.03, 0.0, 0.03), (20, 35, 60)),
        # A little more than that of the queries.
        ((-0.05, 0.0, 0.05), (20, 35, 60)),
        # More, about half of it from the queries.
        ((-0.08, 0.05, 0.08, 0.0, -0.05), (20, 35, 60, 20, 20)),
    ],
)
def test_population_intervals_agree_with_plain_loops(means: tuple[float, ...], sizes: tuple[int, ...]) -> None:
    sets = draw_around(means, *sizes)
    low, high = reference_population(sets, 8_000)
    assert population_intervals(sets, 0)[0] == pytest.approx((low, high), abs=0.02 * (high - low))


def test_data_sets_that_differ_much_have_students_interval() -> None:
    sets = [np.array([[mean - 0.01, mean + 0.01]]) for mean in (-0.3, 0.1, 0.2, 0.6)]
    low, high = stats.ttest_1samp([-0.3, 0.1, 0.2, 0.6], 0).confidence_interval()
    assert population_intervals(sets, 0)[0] == pytest.approx((low, high), abs=0.02 * (high - low))


def test_data_sets_that_agree_count_the_noise_of_queries_once() -> None:
    # Equal means: nothing but the queries is left, whose noise is that of fixed data sets.
    sets = draw_around([0.0] * 4, 60, 60, 60, 60)
    fixed, general = mean_intervals(sets, 0)[0], population_intervals(sets, 1)[0]
    assert fixed is not None
    assert general == pytest.approx(fixed, abs=0.04 * (fixed[1] - fixed[0]))


@pytest.mark.parametrize("seed", range(5))
def test_an_interval_in_general_is_no_narrower_than_that_of_fixed_data_sets(seed: int) -> None:
    sets = draw_sets(seed, 30, 30, 30, rows=20)
    for fixed, general in zip(mean_intervals(sets, 0), population_intervals(sets, 0), strict=True):
        assert fixed is not None
        assert general is not None
        assert general[1] - general[0] > 0.93 * (fixed[1] - fixed[0])


def test_one_data_set_has_the_p_values_of_a_single_table() -> None:
    (scores,) = draw_sets(4, 173, rows=9)
    baseline = np.round(np.random.default_rng(0).random(173), 2)
    # Two sums that are nearly equal, and are told apart at the scale of a single table alone.
    scores[0] = baseline
    scores[0, :3] += [1, 1, 1e-8]
    assert mean_p_values([scores - baseline], 3) == paired_p_values(scores, baseline, 3)
    expected = flip_signs(scores - baseline + 0.6, np.positive, 3)
    assert stratified_non_inferiority_p_values([scores], [baseline], 0.6, seed=3) == expected
    for found, single in zip(mean_intervals([scores], 3), bootstrap_intervals(scores, 3), strict=True):
        assert single is not None
        assert found == pytest.approx(single, abs=0.04 * (single[1] - single[0]))


def test_data_sets_of_one_size_have_the_p_values_of_all_queries_together() -> None:
    sets = draw_sets(5, 50, 50, rows=4)
    assert mean_p_values(sets, 1) == paired_p_values(np.concatenate(sets, axis=1), np.zeros(100), 1)


def test_ten_queries_count_as_much_as_a_thousand() -> None:
    better, worse = np.full((1, 10), 0.1), np.full((1, 1000), -0.1)
    assert mean_p_values([better, worse], 0) == [1.0]
    assert mean_intervals([better, worse], 0)[0] == pytest.approx((0.0, 0.0), abs=1e-12)
    expected = stats.ttest_1samp([0.1, -0.1, 0.3], 0).confidence_interval()
    found = population_intervals([better, worse, better * 3], 0)[0]
    assert found == pytest.approx(tuple(expected), abs=0.02 * (expected.high - expected.low))
    (few,), (many,) = detectable_differences(draw_sets(0, 10, 1000)), detectable_differences(draw_sets(0, 1000, 1000))
    assert few is not None
    assert many is not None
    assert few > 4 * many


def test_a_single_query_in_one_data_set_has_neither_interval_nor_test() -> None:
    sets = [np.full((2, 1), 0.5), *draw_sets(0, 20, 30, rows=2)]
    for statistic in (mean_intervals, mean_p_values, population_intervals):
        assert statistic(sets, 0) == [None, None]
    assert detectable_differences(sets) == [None, None]


def test_two_data_sets_have_no_interval_in_general() -> None:
    assert population_intervals(draw_sets(0, 20, 30, rows=2), 0) == [None, None]
    assert None not in population_intervals(draw_sets(0, 20, 30, 25, rows=2), 0)


def test_the_order_of_data_sets_changes_no_more_than_the_draws() -> None:
    sets = draw_sets(7, 25, 60, 140, shift=0.05)
    for one, other in zip(mean_p_values(sets, 0), mean_p_values(sets[::-1], 0), strict=True):
        assert one == pytest.approx(other, abs=2 * sampling_error(0.1))
    for statistic in (mean_intervals, population_intervals):
        forward, backward = statistic(sets, 0)[0], statistic(sets[::-1], 0)[0]
        assert forward is not None
        assert forward == pytest.approx(backward, abs=0.05 * (forward[1] - forward[0]))
    assert detectable_differences(sets) == pytest.approx(detectable_differences(sets[::-1]))


def test_equal_seeds_give_equal_numbers_and_others_do_not() -> None:
    sets = draw_around([0.01, 0.02, 0.02], 25, 60, 140)
    for statistic in (mean_intervals, mean_p_values, population_intervals):
        assert statistic(sets, 7) == statistic(sets, 7)
        assert statistic(sets, 7) != statistic(sets, 8)


def test_data_sets_are_resampled_independently() -> None:
    # Twice the same values: with the same resamples the interval would be that of one data set, 1.41 times as wide.
    (values,) = draw_sets(9, 80)
    (once,), (twice,) = mean_intervals([values], 0), mean_intervals([values, values], 0)
    assert once is not None
    assert twice is not None
    assert twice[1] - twice[0] == pytest.approx((once[1] - once[0]) / 2**0.5, rel=0.05)


def test_every_row_is_treated_as_if_it_were_alone() -> None:
    sets = draw_sets(10, 20, 50, 30, rows=3)
    alone = [[one[[row]] for one in sets] for row in range(3)]
    assert mean_p_values(sets, 2) == [mean_p_values(one, 2)[0] for one in alone]
    for statistic in (mean_intervals, population_intervals):
        assert np.allclose(statistic(sets, 2), [statistic(one, 2)[0] for one in alone])  # type: ignore[arg-type]


def test_a_row_without_differences_has_p_one_and_an_interval_of_nothing() -> None:
    sets = [np.zeros((1, size)) for size in (12, 30, 7)]
    assert mean_p_values(sets, 0) == [1.0]
    assert mean_intervals(sets, 0) == population_intervals(sets, 0) == [(0.0, 0.0)]
    assert detectable_differences(sets) == [0.0]


def test_p_values_are_never_zero() -> None:
    sets = [np.ones((1, 40)), np.ones((1, 300))]
    assert mean_p_values(sets, 0) == [1 / (RESAMPLES + 1)]
    assert stratified_non_inferiority_p_values(sets, [one[0] for one in sets], 0.1, seed=0) == [1 / (RESAMPLES + 1)]


def test_the_detectable_difference_by_hand() -> None:
    # Variances of the means: 2 / 2 and 8 / 2; quantiles of the normal distribution 1.9600 and 0.8416.
    sets = [np.array([[1.0, -1.0]]), np.array([[2.0, -2.0]])]
    assert detectable_differences(sets)[0] == pytest.approx((1.95996 + 0.84162) * 5**0.5 / 2, abs=1e-4)


def test_many_queries_take_little_memory() -> None:
    sets = draw_sets(11, 8_000, 500, 30, rows=4)
    tracemalloc.start()
    try:
        found = mean_p_values(sets, 0), mean_intervals(sets, 0), population_intervals(sets, 0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert all(None not in part for part in found)
    # Signs of one batch: 500 x 8,530 values of eight bytes, and the draws of one byte.
    assert peak < 50e6
