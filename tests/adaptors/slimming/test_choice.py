"""The choice: forecasts, what goes on to the next round."""

import numpy as np
import pytest

from adaptors.slimming.choice import Forecast, forecast, pick


def test_more_training_is_expected_to_shrink_a_loss_and_its_spread() -> None:
    reference = np.full(100, 0.6)
    scores = reference - np.tile([0.02, 0.06], 50)
    now = forecast(scores, reference, trained=60, more=0, queries=100)
    later = forecast(scores, reference, trained=60, more=180, queries=100)
    assert now.difference == pytest.approx(-0.04)
    assert later.difference == pytest.approx(-0.02)
    assert later.error == pytest.approx(now.error / 2)


def test_a_gain_is_not_expected_to_grow_or_shrink() -> None:
    reference = np.full(10, 0.6)
    assert forecast(reference + 0.1, reference, trained=1, more=99, queries=10).difference == pytest.approx(0.1)


def test_a_static_model_is_not_expected_to_change() -> None:
    reference = np.array([0.5, 0.7])
    assert forecast(reference - 0.1, reference, trained=0, more=0, queries=2).difference == pytest.approx(-0.1)


def test_fewer_test_queries_make_it_harder_to_pass() -> None:
    assert Forecast(0.0, 0.01).slack(0.026) > 0 > Forecast(0.0, 0.02).slack(0.026)


def test_an_even_chance_to_pass_is_not_enough() -> None:
    assert Forecast(-0.01, 0.01).slack(0.0265) < 0
    assert Forecast(-0.01, 0.01).slack(0.0349) > 0


def test_the_cheapest_that_is_expected_to_pass_goes_on_with_the_next() -> None:
    assert pick([-0.1, 0.01, 0.02, 0.03], [-0.2, -0.01, 0.0, 0.01], 2) == [1, 2]
    assert pick([-0.1, 0.01, 0.02], [-0.2, -0.01, 0.0], 1) == [1]
    assert pick([-0.1, -0.1, 0.02], [-0.2, -0.1, 0.0], 2) == [2]


def test_without_one_that_is_expected_to_pass_the_best_go_on() -> None:
    assert pick([-1.0] * 4, [-0.4, -0.1, -0.3, -0.2], 2) == [1, 3]
