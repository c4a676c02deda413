"""Intervals and tests against scipy's and against answers known by hand."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from probe.metrics.significance import RESAMPLES, bootstrap_intervals, holm, paired_p_values

Scores = NDArray[np.float64]


def bootstrap_interval(scores: Scores, seed: int) -> tuple[float, float] | None:
    return bootstrap_intervals(scores[None], seed)[0]


def paired_p_value(scores: Scores, baseline: Scores, seed: int) -> float | None:
    return paired_p_values(scores[None], baseline, seed)[0]


@pytest.fixture
def scores() -> NDArray[np.float64]:
    return np.random.default_rng(0).beta(2, 3, 200)


def test_interval_agrees_with_scipy(scores: NDArray[np.float64]) -> None:
    expected = stats.bootstrap((scores,), np.mean, method="percentile", rng=1).confidence_interval
    assert bootstrap_interval(scores, 0) == pytest.approx(tuple(expected), abs=0.003)


def test_interval_holds_the_mean_and_narrows_with_more_queries(scores: NDArray[np.float64]) -> None:
    few, many = bootstrap_interval(scores[:50], 0), bootstrap_interval(np.tile(scores[:50], 16), 0)
    assert few is not None
    assert many is not None
    assert few[0] < scores[:50].mean() < few[1]
    assert (many[1] - many[0]) == pytest.approx((few[1] - few[0]) / 4, rel=0.1)


def test_p_value_agrees_with_scipy(scores: NDArray[np.float64]) -> None:
    other = scores + np.random.default_rng(1).normal(0.01, 0.08, 200)
    expected = stats.permutation_test((other - scores,), np.mean, permutation_type="samples", rng=2).pvalue
    assert paired_p_value(other, scores, 0) == pytest.approx(expected, abs=0.02)


def test_equal_scores_have_p_one(scores: NDArray[np.float64]) -> None:
    assert paired_p_value(scores, scores, 0) == 1.0


def test_p_value_by_hand() -> None:
    # Of the 2^5 sign patterns only the two uniform ones reach the observed sum.
    assert paired_p_value(np.ones(5), np.zeros(5), 0) == pytest.approx(2 / 32, abs=0.01)


def test_p_value_is_never_zero(scores: NDArray[np.float64]) -> None:
    assert paired_p_value(scores + 1, scores, 0) == 1 / (RESAMPLES + 1)


def test_a_symmetric_test_has_no_side(scores: NDArray[np.float64]) -> None:
    other = scores[::-1].copy()
    assert paired_p_value(other, scores, 0) == paired_p_value(scores, other, 0)


def test_the_same_seed_gives_the_same_numbers(scores: NDArray[np.float64]) -> None:
    other = scores + np.random.default_rng(1).normal(0.01, 0.08, 200)
    assert bootstrap_interval(scores, 7) == bootstrap_interval(scores, 7)
    assert paired_p_value(other, scores, 7) == paired_p_value(other, scores, 7)
    assert bootstrap_interval(scores, 7) != bootstrap_interval(scores, 8)


def test_a_single_query_has_neither_interval_nor_test() -> None:
    assert bootstrap_interval(np.array([0.5]), 0) is None
    assert paired_p_value(np.array([0.5]), np.array([0.1]), 0) is None


def test_every_row_is_treated_as_if_it_were_alone(scores: NDArray[np.float64]) -> None:
    rows = np.stack([scores, scores[::-1], scores**2])
    alone = [bootstrap_interval(row, 3) for row in rows]
    assert np.allclose(bootstrap_intervals(rows, 3), alone)  # type: ignore[arg-type]
    assert paired_p_values(rows, scores, 3) == [paired_p_value(row, scores, 3) for row in rows]


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []
