"""A map trained on relevance labels is used only where it ranks the judging queries better, and is trained once."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adaptors.candidates.dimensions import Basis
from adaptors.slimming.labels import LabelledMap, choose_map
from adaptors.slimming.work import WorkFolder

QUERIES = 100
REFERENCE = np.random.default_rng(0).uniform(0.4, 0.8, QUERIES)
TRAINED = Basis(np.diag([1.0, 0.5]).astype(np.float32), "train")
PLAIN = Basis(np.eye(2, dtype=np.float32))


class MadeUpJudge:
    """A judge by whom every map has its own gain over the full model."""

    full_encoder: Any = None
    reference = REFERENCE

    def __init__(self, gains: dict[bytes, float]) -> None:
        self.gains = gains

    def score(self, encoder: Any) -> Any:
        spread = np.random.default_rng(1).normal(0, 0.1, QUERIES)
        return REFERENCE + self.gains[encoder.axes.tobytes()] + spread - spread.mean()


def choose(tmp_path: Path, *, gain: float, plain: Basis | None = None, fails: bool = False) -> LabelledMap:
    def train() -> Basis:
        if fails:
            raise AssertionError("trained again")
        return TRAINED

    judge: Any = MadeUpJudge({TRAINED.axes.tobytes(): gain, PLAIN.axes.tobytes(): -0.1})
    return choose_map(train, judge, WorkFolder.open(tmp_path / "work", {"seed": 0}), plain=plain)


def test_a_map_that_ranks_better_is_used_and_says_what_it_does_for_the_full_model(tmp_path: Path) -> None:
    found = choose(tmp_path, gain=0.03)
    assert found.basis is not None
    assert found.basis.labels == "train"
    assert np.array_equal(found.basis.axes, TRAINED.axes)
    assert found.share == pytest.approx(1 + 0.03 / REFERENCE.mean())
    assert found.describe() == (
        "A linear map trained on relevance labels of train is part of every candidate; on top of the full model, the "
        f"same map has an estimate of {found.share:.1%}."
    )


@pytest.mark.parametrize("gain", [-0.02, 0.005])
def test_a_map_that_is_not_better_by_a_standard_error_is_not_used(tmp_path: Path, gain: float) -> None:
    found = choose(tmp_path, gain=gain)
    assert found.basis is None
    assert "so it is not used" in found.describe()


def test_with_fewer_dimensions_it_has_to_beat_their_projection(tmp_path: Path) -> None:
    found = choose(tmp_path, gain=-0.05, plain=PLAIN)
    assert found.is_used


def test_a_map_from_before_an_interruption_is_not_trained_again(tmp_path: Path) -> None:
    first, second = choose(tmp_path, gain=0.03), choose(tmp_path, gain=-0.5, fails=True)
    assert first.basis is not None
    assert second.basis is not None
    assert np.array_equal(first.basis.axes, second.basis.axes)
    assert (first.share, first.labels) == (second.share, second.labels)
