"""Weights are chosen on train or dev, among shares of 1, and only where they are really better."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from adaptors.choosing import fusion_weights
from adaptors.choosing.fusion_weights import candidate_weights, tune_weights
from probe.data.dataset import Dataset
from probe.errors import CallError
from probe.evaluation.records import Evaluation
from probe.metrics.retrieval import Metric
from probe.models.options import LoadOptions
from surgery.fusing.model import FusedModel, fuse

NDCG = Metric("ndcg", 10)


@pytest.fixture
def model(tiny_folder: Callable[[str], Path]) -> FusedModel:
    options = LoadOptions(dtype="float32", device="cpu")
    return fuse([f"{tiny_folder('bert')}@1:cls", f"{tiny_folder('mpnet')}@2:mean"], options=options)


@pytest.mark.parametrize(("count", "expected"), [(2, 19), (3, 171), (4, 165), (12, 78)])
def test_candidates_share_one_among_all(count: int, expected: int) -> None:
    found = candidate_weights(count)
    assert len(found) == len(set(found)) == expected
    assert all(sum(weights) == pytest.approx(1) and min(weights) > 0 for weights in found)


@pytest.mark.parametrize("split", ["test", "test_all"])
def test_weights_are_never_chosen_on_test(model: FusedModel, dataset: Dataset, split: str) -> None:
    with pytest.raises(CallError, match="cannot be chosen on split 'test"):
        tune_weights(model, replace(dataset, split=split), NDCG)


def fake_sweep(best: tuple[float, ...], gain: float) -> Callable[..., object]:
    """Score every candidate by its distance from the best one, on 200 queries with some noise."""
    noise = np.random.default_rng(0).normal(0, 0.05, 200)

    def sweep(
        readers: object, encoders: list[object], *rest: object, **named: object
    ) -> tuple[list[Evaluation], dict[str, object]]:
        """Stand in for the pass over the texts."""
        found = []
        for encoder in encoders:
            distance = abs(encoder.shares[0] - best[0])  # type: ignore[attr-defined]
            found.append(Evaluation(str(encoder), 2, {NDCG: 0.5 + gain * (0.5 - distance) + noise * distance}))
        return found, {}

    return sweep


def test_the_best_candidate_is_taken_where_it_is_really_better(
    model: FusedModel, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fusion_weights, "sweep_fusions", fake_sweep((0.8, 0.2), gain=0.2))
    found = tune_weights(model, replace(dataset, split="train"), NDCG)
    assert found.weights == pytest.approx((0.8, 0.2))
    assert found.score > found.equal_score
    assert found.p_value < 0.05


def test_equal_weights_stay_where_others_are_better_by_luck(
    model: FusedModel, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fusion_weights, "sweep_fusions", fake_sweep((0.8, 0.2), gain=0.0))
    found = tune_weights(model, replace(dataset, split="dev"), NDCG)
    assert found.weights is None
    assert found.p_value >= 0.05


def test_one_pass_over_real_texts(model: FusedModel, dataset: Dataset) -> None:
    rows: list[int] = []
    modules = [reader.loaded.module.get_input_embeddings() for reader in model.readers]  # type: ignore[operator]
    handles = [m.register_forward_hook(lambda module, args, output: rows.append(len(output))) for m in modules]
    found = tune_weights(model, replace(dataset, split="train"), NDCG)
    for handle in handles:
        handle.remove()
    assert sum(rows) == 2 * (len(dataset.documents) + len(dataset.queries))
    assert found.candidates == 19
    assert 0 <= found.equal_score <= 1
