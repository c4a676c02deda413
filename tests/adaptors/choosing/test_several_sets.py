"""Choices over several data sets: good enough on every one of them, or on their mean, each with the same weight."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_data import make_dataset

from adaptors.choosing import fusion_weights
from adaptors.choosing import recommend as recommend_module
from adaptors.choosing.conditions import condition_p_values
from adaptors.choosing.fusion_weights import TunedWeights, tune_weights
from adaptors.choosing.recommend import recommend
from adaptors.choosing.recommendation import Recommendation
from adaptors.fitting.data import require_training
from probe.data.dataset import Dataset
from probe.encoding.hookpoints import select_hookpoints
from probe.encoding.reader import LayerReader
from probe.errors import CallError
from probe.evaluation.records import Evaluation
from probe.experiments.options import RunOptions
from probe.metrics.non_inferiority import non_inferiority_p_values
from probe.metrics.retrieval import Metric
from probe.models.loaded import LoadedModel
from probe.models.options import LoadOptions
from probe.sources.loading import load_dataset
from surgery.fusing.model import FusedModel, fuse

NDCG = Metric("ndcg", 10)
A, B = "easy", "hard"
# Gap to the full model of a layer, raw or with its lens, by data set.
Gaps = dict[str, dict[tuple[int, bool], float]]


def sweep_of(gaps: Gaps, spread: float = 0.02, queries: Mapping[str, int] | None = None) -> Callable[..., Any]:
    """Score a layer by its gap on a data set, a little differently for every query; what is not named is far behind."""

    def sweep(
        readers: object, encoders: Sequence[Any], dataset: Dataset, **named: object
    ) -> tuple[list[Evaluation], dict[str, object]]:
        """Stand in for the pass over the texts."""
        count = (queries or {}).get(dataset.name, 100)
        dice = np.random.default_rng(len(dataset.name))
        full, noise = dice.uniform(0.3, 0.7, count), dice.normal(0, spread, count)
        found = []
        for encoder in encoders:
            point, lens = encoder.points[0], encoder.adaptor is not None
            gap = gaps[dataset.name].get((point.layer, lens), 0.3) if point.layer < 3 else 0.0
            change = noise - noise.mean() - gap if point.layer < 3 else 0.0
            found.append(Evaluation(str(point), 2, {NDCG: full + change}, hookpoint=point, adaptor=encoder.adaptor))
        return found, {}

    return sweep


@pytest.fixture
def judge(model: LoadedModel, dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Recommendation]:
    """Return what recommends a layer, given the gaps on the data sets."""

    def run(gaps: Gaps, on: str, margin: float = 0.01, **named: Any) -> Recommendation:
        monkeypatch.setattr(recommend_module, "sweep_fusions", sweep_of(gaps, **named))
        held = [replace(dataset, name=name, split=split) for name, split in zip(gaps, ("train", "dev"), strict=False)]
        points = select_hookpoints(model, "all")
        return recommend(LayerReader(model), points, held, margin=margin, options=RunOptions(), on=on)

    return run


def test_what_is_fine_on_one_set_and_bad_on_the_other_is_not_fine_on_every_set(
    judge: Callable[..., Recommendation],
) -> None:
    gaps = {A: {(1, True): 0.0}, B: {(1, True): 0.04}}
    every, mean, strict = judge(gaps, "every", 0.03), judge(gaps, "mean", 0.03), judge(gaps, "mean", 0.01)
    assert every.encoder is None
    assert strict.encoder is None
    assert mean.encoder is not None
    assert (mean.encoder.layer, mean.lens) == (1, True)
    assert f"{mean.encoder} with its lens is not worse than the full model by 0.03 on the mean of 2 sets (p " in (
        mean.words()
    )
    assert "no layer was shown to be within 0.03 of the full model on every set (held-out queries: " in every.words()
    assert judge({A: gaps[A]}, "every").encoder is not None
    assert judge({B: gaps[B]}, "every").encoder is None


def test_the_shallowest_that_is_fine_on_every_set_is_named(judge: Callable[..., Recommendation]) -> None:
    found = judge({A: {(1, True): 0.0, (2, False): 0.0}, B: {(1, True): 0.2, (2, False): 0.001}}, "every")
    assert found.encoder is not None
    assert (found.encoder.layer, found.lens) == (2, False)
    counts = [one.queries for one in found.sets]
    assert [(one.dataset, one.split) for one in found.sets] == [(A, "train"), (B, "dev")]
    basis = f"held-out queries: {counts[0]} of {A} train and {counts[1]} of {B} dev, Holm over all candidates"
    assert found.words() == (
        f"{found.encoder} is not worse than the full model by 0.01 on every set (p {found.p_value:.2g}; {basis})"
    )


def test_a_set_with_many_queries_has_no_more_weight(judge: Callable[..., Recommendation]) -> None:
    gaps, counts = {A: {(2, False): 0.0}, B: {(2, False): 0.06}}, {A: 2000, B: 50}
    assert judge(gaps, "mean", 0.02, queries=counts).encoder is None
    assert judge(gaps, "mean", 0.045, queries=counts).encoder is not None


def test_every_set_means_the_largest_p_value_of_the_sets() -> None:
    dice = np.random.default_rng(0)
    baselines = [dice.uniform(0, 1, count) for count in (80, 40)]
    scores = [one + dice.normal(-0.01, 0.1, (3, len(one))) for one in baselines]
    own = [non_inferiority_p_values(s, b, 0.02, seed=1) for s, b in zip(scores, baselines, strict=True)]
    assert own[0] != own[1]
    assert condition_p_values(scores, baselines, 0.02, on="every", seed=1) == [
        max(two) for two in zip(*own, strict=True)
    ]
    assert condition_p_values(scores, baselines, 0.02, on="mean", seed=1) not in own
    for on in ("every", "mean"):
        assert condition_p_values(scores[:1], baselines[:1], 0.02, on=on, seed=1) == own[0]


def test_the_nearest_is_the_one_whose_worst_set_is_best(judge: Callable[..., Recommendation]) -> None:
    gaps = {A: {(1, False): 0.0, (2, False): 0.03}, B: {(1, False): 0.05, (2, False): 0.04}}
    every, mean = judge(gaps, "every").nearest, judge(gaps, "mean").nearest
    assert every is not None
    assert mean is not None
    assert (every.encoder.layer, mean.encoder.layer) == (2, 1)
    assert every.worst is not None
    assert every.worst.judged.dataset == B
    assert every.difference == every.worst.difference == pytest.approx(-0.04)
    assert mean.difference == pytest.approx(-0.025)
    assert mean.worst is not None
    assert (mean.worst.judged.dataset, mean.worst.difference) == (B, pytest.approx(-0.05))


def test_the_worst_set_is_in_the_words(judge: Callable[..., Recommendation]) -> None:
    gaps = {A: {(2, False): 0.0}, B: {(2, False): 0.05}}
    every, mean = judge(gaps, "every"), judge(gaps, "mean")
    nearest = every.nearest
    assert nearest is not None
    assert nearest.ci95 is not None
    low, high = nearest.ci95
    worst = f"worst on {B}: -0.0500, 95% CI {low:+.3f} to {high:+.3f}"
    assert every.words().endswith(
        f"The nearest is {nearest.name} ({worst}); the smallest margin it passes on every set is {nearest.passing:g}"
    )
    assert mean.nearest is not None
    assert mean.nearest.ci95 is not None
    low, high = mean.nearest.ci95
    assert low < -0.025 < high
    assert mean.words().endswith(
        f"(-0.0250, 95% CI {low:+.3f} to {high:+.3f} on the mean of 2 sets; {worst}); the smallest margin it passes on "
        f"the mean of 2 sets is {mean.nearest.passing:g}"
    )


@pytest.mark.parametrize("on", ["every", "mean"])
def test_the_margin_that_is_named_passes_and_a_smaller_one_does_not(
    judge: Callable[..., Recommendation], on: str
) -> None:
    gaps = {A: {(2, False): 0.01}, B: {(2, False): 0.05}}
    nearest = judge(gaps, on, spread=0.05).nearest
    assert nearest is not None
    assert nearest.passing is not None
    assert judge(gaps, on, nearest.passing, spread=0.05).encoder is not None
    assert judge(gaps, on, nearest.passing - 0.01, spread=0.05).encoder is None


def test_where_one_set_has_too_few_queries_it_is_named(judge: Callable[..., Recommendation]) -> None:
    gaps = {A: {(2, False): 0.003}, B: {(2, False): 0.0}}
    counts = {A: 2000, B: 10}
    found = judge(gaps, "every", queries=counts)
    assert found.encoder is None
    nearest = found.nearest
    assert nearest is not None
    assert nearest.worst is not None
    # The other set has the lower score, but it has shown that it is within the margin.
    assert nearest.worst.judged.dataset == B
    words = f"{nearest.worst.judged.queries} queries of {B} are too few to show it; they can show margins of about"
    assert words in found.words()
    both = judge({A: {(2, False): 0.02}, B: {(2, False): 0.0}}, "every", spread=0.05, queries=counts).nearest
    assert both is not None
    assert both.worst is not None
    # What is outside the margin decides, however little the other set can show.
    assert (both.worst.judged.dataset, both.passing is not None and both.passing > 0.03) == (A, True)


def test_no_leak_lenses_are_fitted_to_the_first_halves_of_all_sets_and_judged_on_the_second(
    model: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = [
        replace(load_dataset(make_dataset(tmp_path / name, seed=seed)), split="dev") for seed, name in enumerate("ab")
    ]
    fit, sweep = recommend_module.fit_lenses, recommend_module.sweep_fusions
    seen: dict[str, list[tuple[str, set[str]]]] = {"fit": [], "judged": []}

    def spy_fit(reader: Any, points: Any, texts: Any, **named: Any) -> Any:
        seen["fit"] += [(one.corpus.name, set(one.train.queries.ids)) for one in texts]
        return fit(reader, points, texts, **named)

    def spy_sweep(readers: Any, encoders: Any, judged: Any, **named: Any) -> Any:
        seen["judged"].append((judged.name, set(judged.queries.ids)))
        lenses = [one.adaptor for one in encoders if one.adaptor]
        assert lenses
        assert all([name for name, _ in one.seen] == ["a", "b"] for one in lenses)
        return sweep(readers, encoders, judged, **named)

    monkeypatch.setattr(recommend_module, "fit_lenses", spy_fit)
    monkeypatch.setattr(recommend_module, "sweep_fusions", spy_sweep)
    recommend(LayerReader(model), select_hookpoints(model, "all"), held, margin=0.01, options=RunOptions())
    assert [name for name, _ in seen["fit"]] == [name for name, _ in seen["judged"]] == ["a", "b"]
    for (_, fitted), (_, judged), one in zip(seen["fit"], seen["judged"], held, strict=True):
        assert fitted
        assert judged
        assert fitted | judged == set(one.queries.ids)
        assert not fitted & judged


def test_wrong_calls_name_the_data_set(model: LoadedModel, dataset: Dataset, tmp_path: Path) -> None:
    points, reader = select_hookpoints(model, "all"), LayerReader(model)
    folder = make_dataset(tmp_path / "only test")
    with pytest.raises(CallError, match=r"--recommend needs a train or dev split .*only test' has none"):
        require_training(str(folder), "test", why="--recommend")
    with pytest.raises(CallError, match="--recommend-on al: "):
        recommend(reader, points, dataset, margin=0.01, options=RunOptions(), on="al")
    one = recommend_module._only(replace(dataset, name="single"), {dataset.queries.ids[0]})
    with pytest.raises(CallError, match=r"1 of 'single' \(test\) are too few"):
        recommend(reader, points, [dataset, one], margin=0.01, options=RunOptions())


@pytest.fixture
def fused(tiny_folder: Callable[[str], Path]) -> FusedModel:
    options = LoadOptions(dtype="float32", device="cpu")
    return fuse([f"{tiny_folder('bert')}@1:cls", f"{tiny_folder('mpnet')}@2:mean"], options=options)


@pytest.fixture
def tune(fused: FusedModel, dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> Callable[..., TunedWeights]:
    """Return what chooses weights, given the slope of the score in the first share and the queries of each set."""

    def run(
        slopes: Mapping[str, float], counts: Mapping[str, int], noises: tuple[float, ...] = (0.05, 0.05)
    ) -> TunedWeights:
        def sweep(readers: object, encoders: list[Any], data: Dataset, **named: object) -> tuple[list[Evaluation], Any]:
            """Stand in for the pass over the texts."""
            spread = dict(zip(slopes, noises, strict=False))[data.name]
            luck = np.random.default_rng(len(data.name)).normal(0, spread, counts[data.name])
            shares = [encoder.shares[0] - 0.5 for encoder in encoders]
            scores = [{NDCG: 0.5 + share * (slopes[data.name] + luck)} for share in shares]
            return [Evaluation(str(one), 2, found) for one, found in zip(encoders, scores, strict=True)], {}

        monkeypatch.setattr(fusion_weights, "sweep_fusions", sweep)
        return tune_weights(fused, [replace(dataset, name=name, split="train") for name in slopes], NDCG)

    return run


def test_the_weights_are_those_of_the_best_mean_over_sets(tune: Callable[..., TunedWeights]) -> None:
    # By queries the first set would decide, and the first hookpoint would get the most.
    found = tune({A: 0.2, B: -0.6}, {A: 900, B: 100})
    assert found.weights == pytest.approx((0.05, 0.95))
    assert found.p_value < 0.05
    assert found.score == pytest.approx(np.mean(found.set_scores))
    assert found.equal_score == pytest.approx(np.mean(found.set_equal_scores)) == pytest.approx(0.5)
    assert found.set_scores == pytest.approx((0.5 - 0.45 * 0.2, 0.5 + 0.45 * 0.6), abs=0.01)
    assert tune({A: 0.2}, {A: 900}).weights == pytest.approx((0.95, 0.05))


def test_equal_weights_stay_where_the_sets_disagree(tune: Callable[..., TunedWeights]) -> None:
    found = tune({A: 0.3, B: -0.3}, {A: 400, B: 400}, (0.5, 0.5))
    assert found.weights is None
    assert found.p_value >= 0.05


def test_few_queries_of_one_set_keep_the_mean_from_being_sure(tune: Callable[..., TunedWeights]) -> None:
    # Among all queries together the gain would be significant.
    found = tune({A: 0.1, B: 0.1}, {A: 4000, B: 10}, (0.05, 2.0))
    assert found.score > found.equal_score
    assert (found.weights, found.p_value >= 0.05) == (None, True)


def test_no_set_is_tuned_on_test(fused: FusedModel, dataset: Dataset) -> None:
    with pytest.raises(CallError, match="split 'test' of 'scored'"):
        tune_weights(fused, [replace(dataset, split="dev"), replace(dataset, name="scored", split="test")], NDCG)
    with pytest.raises(CallError, match="without a data set"):
        tune_weights(fused, [], NDCG)
