"""Collapse is noticed, and nothing else is taken for it."""

import numpy as np
import pytest

from probe.metrics.geometry import effective_rank, is_collapsed, mean_cosine

DICE = np.random.default_rng(0)
CONE = (np.ones((50, 16)) * 5 + DICE.normal(size=(50, 16))).astype(np.float32)
SPREAD = DICE.normal(size=(50, 16)).astype(np.float32)


def test_equal_vectors_are_collapsed() -> None:
    assert is_collapsed(np.tile(SPREAD[:1], (50, 1)))


def test_equal_directions_of_different_length_are_collapsed() -> None:
    assert is_collapsed(SPREAD[:1] * np.arange(1, 51, dtype=np.float32)[:, None])


def test_a_single_line_through_the_origin_is_collapsed() -> None:
    assert is_collapsed(SPREAD[:1] * np.linspace(-3, 3, 50, dtype=np.float32)[:, None])


def test_zero_vectors_are_collapsed() -> None:
    assert is_collapsed(np.zeros((5, 4), np.float32))


def test_spread_and_merely_anisotropic_vectors_are_not() -> None:
    assert not is_collapsed(SPREAD)
    assert not is_collapsed(CONE)
    narrow = 100 + CONE
    assert mean_cosine(narrow) > 0.9998
    assert not is_collapsed(narrow)


def test_one_document_cannot_collapse() -> None:
    assert not is_collapsed(SPREAD[:1])


def test_mean_cosine_equals_all_pairs() -> None:
    units = CONE / np.linalg.norm(CONE, axis=1, keepdims=True)
    cosines = units @ units.T
    assert mean_cosine(CONE) == pytest.approx(cosines[~np.eye(50, dtype=bool)].mean(), abs=1e-6)


def test_effective_rank_by_hand() -> None:
    assert effective_rank(np.eye(4, dtype=np.float32)) == pytest.approx(4)
    assert effective_rank(np.ones((4, 3), np.float32)) == pytest.approx(1)
    assert effective_rank(np.zeros((4, 3), np.float32)) == 0
