"""The recommendation: non-inferiority, judged on held-out queries that no fit looked at."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gate_cases import draw_scores
from tiny_data import make_dataset
from typer.testing import CliRunner

import cli
from adaptors.choosing import recommend as recommend_module
from adaptors.choosing.recommend import recommend, split_queries
from probe.data.dataset import Dataset
from probe.encoding.hookpoints import select_hookpoints, with_full_model
from probe.encoding.reader import LayerReader
from probe.errors import CallError
from probe.evaluation.records import AdaptorFacts, Evaluation
from probe.experiments.options import RunOptions
from probe.metrics.non_inferiority import non_inferiority_p_values
from probe.metrics.retrieval import Metric
from probe.models.loaded import LoadedModel

NDCG = Metric("ndcg", 10)


def test_non_inferiority_needs_more_than_a_missing_difference() -> None:
    dice = np.random.default_rng(0)
    full = dice.uniform(0, 1, 300)
    rows = np.stack([full, full - 0.005, full - 0.02, full + dice.normal(0, 1, 300)])
    same, close, worse, noisy = non_inferiority_p_values(rows, full, margin=0.01, seed=0)
    assert same < 0.001
    assert close < 0.001
    assert worse > 0.999
    assert noisy > 0.05


def test_non_inferiority_at_the_margin_is_a_coin_toss() -> None:
    dice = np.random.default_rng(1)
    full = dice.uniform(0, 1, 400)
    p_values = [
        non_inferiority_p_values((full - 0.05 + dice.normal(0, 0.2, 400))[None], full, 0.05, seed=seed)[0]
        for seed in range(40)
    ]
    assert sum(p < 0.05 for p in p_values) <= 6
    assert 0.2 < np.mean(p_values) < 0.8


def test_rare_and_whole_losses_at_the_margin_pass_no_more_often_than_stated() -> None:
    scores, baselines = draw_scores("rare", 400, 200, loss=0.03)
    tested = zip(scores, baselines, strict=True)
    p_values = [non_inferiority_p_values(one[None], full, 0.03, seed=0)[0] for one, full in tested]
    # Flipping signs alone calls 13 % of them as good.
    assert sum(p < 0.05 for p in p_values) <= 30


def test_queries_are_split_in_two_without_overlap(dataset: Dataset) -> None:
    first, second = split_queries(dataset)
    assert set(first.queries.ids) | set(second.queries.ids) == set(dataset.queries.ids)
    assert not set(first.queries.ids) & set(second.queries.ids)
    assert set(second.qrels) == set(second.queries.ids)
    assert split_queries(dataset)[0].queries.ids == first.queries.ids


def fake_sweep(gaps: dict[tuple[int, bool], float]) -> Callable[..., Any]:
    """Score a layer, raw or with a lens, by its gap to the full model; what is not named is far behind."""
    full = np.random.default_rng(2).uniform(0.3, 0.7, 100)

    def sweep(
        readers: object, encoders: Sequence[Any], *rest: object, **named: object
    ) -> tuple[list[Evaluation], dict[str, object]]:
        """Stand in for the pass over the texts."""
        found = []
        for encoder in encoders:
            point = encoder.points[0]
            gap = gaps.get((point.layer, encoder.adaptor is not None), 0.3) if point.layer < 3 else 0.0
            found.append(Evaluation(str(point), 2, {NDCG: full - gap}, hookpoint=point, adaptor=encoder.adaptor))
        return found, {}

    return sweep


CHOICES = {
    "nothing is close": ({}, None),
    "the shallowest that is close": ({(1, True): 0.001, (2, False): 0.001}, (1, True)),
    "raw before a lens": ({(2, False): 0.001, (2, True): 0.0}, (2, False)),
    "the embeddings are no model": ({(0, False): 0.0, (0, True): 0.0}, None),
    "worse than the margin": ({(2, False): 0.02}, None),
}


@pytest.mark.parametrize("case", CHOICES.values(), ids=CHOICES)
def test_the_cheapest_that_is_not_worse_is_named(
    model: LoadedModel,
    dataset: Dataset,
    monkeypatch: pytest.MonkeyPatch,
    case: tuple[dict[tuple[int, bool], float], tuple[int, bool] | None],
) -> None:
    gaps, expected = case
    monkeypatch.setattr(recommend_module, "sweep_fusions", fake_sweep(gaps))
    points = select_hookpoints(model, "all")
    found = recommend(LayerReader(model), points, replace(dataset, split="train"), margin=0.01, options=RunOptions())
    chosen = None if found.encoder is None else (found.encoder.layer, found.lens)
    assert chosen == expected
    assert ("keep all blocks" in found.words()) == (expected is None)


def noisy_sweep(gap: float, spread: float) -> Callable[..., Any]:
    """Score layer 2 lower than the full model by a gap on average, differently for every query."""
    plain, noise = fake_sweep({(2, False): gap}), np.random.default_rng(3).normal(0, spread, 100)

    def sweep(*rest: Any, **named: Any) -> tuple[list[Evaluation], dict[str, object]]:
        """Stand in for the pass over the texts."""
        found, rest_of_it = plain(*rest, **named)
        return [
            replace(e, scores={NDCG: e.scores[NDCG] + noise - noise.mean()}) if e.hookpoint.layer == 2 else e
            for e in found
        ], rest_of_it

    return sweep


def recommend_with(monkeypatch: pytest.MonkeyPatch, sweep: Any, model: LoadedModel, dataset: Dataset) -> Any:
    monkeypatch.setattr(recommend_module, "sweep_fusions", sweep)
    points = select_hookpoints(model, "all")
    return recommend(LayerReader(model), points, replace(dataset, split="train"), margin=0.01, options=RunOptions())


def test_where_none_is_near_the_nearest_is_named_with_its_interval_and_margin(
    model: LoadedModel, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = recommend_with(monkeypatch, noisy_sweep(0.05, 0.05), model, dataset)
    nearest = found.nearest
    assert (nearest.encoder.layer, nearest.lens) == (2, False)
    low, high = nearest.ci95
    assert nearest.difference == pytest.approx(-0.05)
    assert low < nearest.difference < high
    assert -low < nearest.passing < 0.08
    assert (
        f"The nearest is {nearest.name} (-0.0500, 95% CI {low:+.3f} to {high:+.3f}); the smallest margin it passes is "
        f"{nearest.passing:g}"
    ) in found.words()


def test_the_margin_that_is_named_passes_and_a_smaller_one_does_not(
    model: LoadedModel, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = noisy_sweep(0.05, 0.05)
    needed = recommend_with(monkeypatch, sweep, model, dataset).nearest.passing
    points = select_hookpoints(model, "all")
    held = replace(dataset, split="train")
    for margin, passes in ((needed, True), (needed - 0.02, False)):
        found = recommend(LayerReader(model), points, held, margin=margin, options=RunOptions())
        assert (found.encoder is not None) is passes


def test_where_queries_are_too_few_that_is_said(
    model: LoadedModel, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = recommend_with(monkeypatch, noisy_sweep(0.0, 0.2), model, dataset)
    assert found.encoder is None
    assert 0.03 < found.nearest.resolution < 0.08
    assert (
        f"within the margin on average, but {found.queries} queries are too few to show it; they can show margins of "
        f"about {found.nearest.resolution:.2g} or more"
    ) in found.words()


def test_no_leak_the_judging_queries_are_in_no_fit(
    model: LoadedModel, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, set[str]] = {}
    fit, sweep = recommend_module.fit_lenses, recommend_module.sweep_fusions

    def spy_fit(reader: Any, points: Any, texts: Any, **named: Any) -> Any:
        (one,) = texts
        seen["fit"] = set(one.train.queries.ids)
        return fit(reader, points, texts, **named)

    def spy_sweep(readers: Any, encoders: Any, judged: Any, **named: Any) -> Any:
        seen["judged"] = set(judged.queries.ids)
        return sweep(readers, encoders, judged, **named)

    monkeypatch.setattr(recommend_module, "fit_lenses", spy_fit)
    monkeypatch.setattr(recommend_module, "sweep_fusions", spy_sweep)
    recommend(LayerReader(model), select_hookpoints(model, "all"), dataset, margin=0.01, options=RunOptions())
    assert seen["fit"]
    assert seen["judged"]
    assert not seen["fit"] & seen["judged"]


@pytest.mark.parametrize("poolings", [["cls", "mean"], ["cls"], ["mean", "cls"]])
def test_the_full_model_is_its_own_pooling_whatever_was_asked_for_first(
    model: LoadedModel, dataset: Dataset, monkeypatch: pytest.MonkeyPatch, poolings: list[str]
) -> None:
    compared: list[Any] = []
    judge = recommend_module._judge

    def spy(reader: Any, encoders: Any, halves: Any, *, full: Any, **named: Any) -> Any:
        compared.append((full, [one.points[0] for one in encoders if one.adaptor is None]))
        return judge(reader, encoders, halves, full=full, **named)

    monkeypatch.setattr(recommend_module, "sweep_fusions", fake_sweep({}))
    monkeypatch.setattr(recommend_module, "_judge", spy)
    points = select_hookpoints(model, "all", poolings)
    recommend(LayerReader(model), points, replace(dataset, split="train"), margin=0.01, options=RunOptions())
    ((full, shown),) = compared
    assert full == with_full_model(model, "last", ["own"])[1]
    assert full in shown


@pytest.mark.parametrize("margin", [0.0, -0.1, 1.0, 5.0, float("nan"), float("inf")])
def test_a_margin_is_a_part_of_a_score(model: LoadedModel, dataset: Dataset, margin: float) -> None:
    with pytest.raises(CallError, match="above 0 and below 1"):
        recommend(LayerReader(model), select_hookpoints(model, "all"), dataset, margin=margin, options=RunOptions())


@pytest.mark.parametrize("margin", ["1", "5"])
def test_the_command_refuses_such_a_margin_before_it_loads_anything(margin: str) -> None:
    result = CliRunner().invoke(cli.probe_app, ["layers", "-m", "./nowhere", "--recommend", margin], prog_name="probe")
    assert result.exit_code == 2
    assert "above 0 and below 1" in result.stderr


def test_wrong_calls(model: LoadedModel, dataset: Dataset) -> None:
    points = select_hookpoints(model, "all")
    with pytest.raises(CallError, match="train or dev"):
        recommend(LayerReader(model), points, None, margin=0.01, options=RunOptions())


def test_the_command_says_what_to_cut(
    tiny_folder: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make_dataset(tmp_path / "tiny")
    (data / "qrels" / "dev.tsv").write_text((data / "qrels" / "test.tsv").read_text())
    monkeypatch.setattr(recommend_module, "sweep_fusions", fake_sweep({(2, True): 0.0}))
    model = str(tiny_folder("bert"))
    call = ["layers", "-m", model, "-d", str(data), "--recommend", "0.01", "--no-store", "--format", "json"]
    result = CliRunner().invoke(cli.probe_app, call, prog_name="probe")
    assert result.exit_code == 0, result.stderr
    line = f"surgery cut {model} --after 2 --pooling mean --lens -d {data}"
    assert line in result.stderr
    board = json.loads(result.stdout)
    assert line in board["settings"]["recommendation"]
    # Nobody asked for lenses to be shown.
    assert [row["encoder"] for row in board["rows"] if row["adaptor"]] == []


def test_the_command_says_how_to_heal_where_nothing_is_near(
    tiny_folder: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make_dataset(tmp_path / "tiny")
    (data / "qrels" / "dev.tsv").write_text((data / "qrels" / "test.tsv").read_text())
    monkeypatch.setattr(recommend_module, "sweep_fusions", fake_sweep({(2, True): 0.1}))
    model = str(tiny_folder("bert"))
    call = ["layers", model, "-d", str(data), "--recommend", "0.01", "--no-store"]
    result = CliRunner().invoke(cli.probe_app, call, prog_name="probe")
    assert result.exit_code == 0, result.stderr
    shown = " ".join(result.stdout.split())
    folder = "./bert-after-2"
    assert (
        f"surgery cut {model} --after 2 --out {folder} && adaptors heal {folder} -d {data} --minutes 15".replace(
            " ", ""
        )
    ) in shown.replace(" ", "")
    assert "with its lens" in shown
    assert "lens" not in shown.partition("Recommendation:")[0]
    assert "recommendation" not in result.stderr


def test_a_limit_is_one_of_the_judging_split_as_well(
    tiny_folder: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make_dataset(tmp_path / "tiny")
    judged = [line for line in (data / "qrels" / "test.tsv").read_text().splitlines() if not line.endswith("0")]
    for split in ("test", "dev"):
        (data / "qrels" / f"{split}.tsv").write_text("\n".join(judged) + "\n")
    sizes = []

    def sweep(readers: Any, encoders: Any, judging: Any, **named: Any) -> Any:
        sizes.append(len(judging.documents))
        return fake_sweep({})(readers, encoders)

    monkeypatch.setattr(recommend_module, "sweep_fusions", sweep)
    call = ["layers", "-m", str(tiny_folder("bert")), "-d", str(data), "--recommend", "0.01", "--no-store"]
    result = CliRunner().invoke(cli.probe_app, [*call, "--limit", "12"], prog_name="probe")
    assert result.exit_code == 0, result.stderr
    assert sizes == [12]


def test_facts_of_an_adaptor_know_what_it_saw(dataset: Dataset) -> None:
    facts = AdaptorFacts("pca", "none", (("another", dataset.documents.text_hash),), None, 1)
    assert facts.saw(dataset)
    assert replace(facts, seen=((dataset.name, "0"),)).saw(dataset)
    assert not replace(facts, seen=(("another", "0"),)).saw(dataset)
    assert not replace(facts, seen=()).saw(dataset)
    # A plus sign in a name joins nothing.
    assert not replace(facts, seen=((f"{dataset.name}+more", "0"),)).saw(dataset)
