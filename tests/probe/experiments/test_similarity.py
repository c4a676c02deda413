"""Correlations against scipy, resample by resample; ties, collapses and the command that prints them."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from tiny_data import write_lines
from tiny_models import WORDS
from typer.testing import CliRunner, Result

import cli
from probe.data.dataset import Dataset
from probe.data.texts import Texts
from probe.errors import ProbeError
from probe.experiments.similarity import rank_correlations
from probe.layers.hookpoint import Hookpoint
from probe.metrics import correlation
from probe.metrics.correlation import highest_spearman, paired_bootstrap, pearson, resample_spearman, spearman
from probe.metrics.vectors import Embeddings
from probe.sources.scored_pairs import ScoredPairs, limit_pairs, load_scored_pairs

ROW_KEYS = [
    "rank",
    "encoder",
    "layer",
    "pooling",
    "dim",
    "spearman",
    "spearman_ci95",
    "pearson",
    "delta",
    "p_value",
    "mean_cosine",
    "collapsed",
]
DICE = np.random.default_rng(0)
GOLD = DICE.integers(0, 4, 40).astype(np.float64)
CLOSE = GOLD + DICE.normal(size=40)
TIED = np.round(CLOSE)


@pytest.mark.parametrize("values", [CLOSE, TIED, -CLOSE, GOLD, DICE.normal(size=40)])
def test_correlations_are_those_of_scipy(values: Any) -> None:
    assert spearman(values, GOLD) == pytest.approx(stats.spearmanr(values, GOLD).statistic)
    assert pearson(values, GOLD) == pytest.approx(stats.pearsonr(values, GOLD).statistic)


def test_what_is_constant_has_no_correlation() -> None:
    assert spearman(np.full(40, 0.3), GOLD) is None
    assert pearson(GOLD, np.full(40, 0.3)) is None


def test_ties_of_the_gold_scores_bound_the_correlation() -> None:
    assert highest_spearman(np.arange(9.0)) == pytest.approx(1)
    assert highest_spearman(GOLD) == pytest.approx(stats.spearmanr(np.arange(40), np.sort(GOLD)).statistic)
    assert highest_spearman(np.repeat([0.0, 1.0, 2.0], 900)) == pytest.approx(np.sqrt(8 / 9), abs=1e-5)


def test_every_resample_is_ranked_anew() -> None:
    found = resample_spearman([CLOSE, TIED], GOLD, seed=1)
    assert found.shape == (10_000, 2)
    for draw, counts in enumerate(next(correlation.resamples(40, 1))[:50]):
        rows = np.repeat(np.arange(40), counts)
        for column, values in enumerate((CLOSE, TIED)):
            expected = stats.spearmanr(values[rows], GOLD[rows]).statistic
            assert found[draw, column] == pytest.approx(expected)


def test_p_values_count_the_resamples_beyond_zero() -> None:
    base = np.linspace(0, 1, 10_000)
    shift = np.linspace(-0.01, 0.99, 10_000)
    found = paired_bootstrap(np.stack([base, base + 0.1, base + shift, base - shift], axis=1), base)
    below = int((shift < 0).sum())
    assert found == pytest.approx([1.0, 2 / 10_001, 2 * (below + 1) / 10_001, 2 * (below + 1) / 10_001])


def planted() -> tuple[dict[Hookpoint, Embeddings], ScoredPairs]:
    """States of four layers: noise, one whose cosines follow the scores, a collapsed one, noise."""
    dice, count = np.random.default_rng(2), 60
    scores = dice.integers(0, 6, count).astype(float)
    states = {Hookpoint("m", k, "mean"): dice.normal(size=(2 * count, 8)) for k in range(4)}
    knowing = states[Hookpoint("m", 1, "mean")]
    knowing[count:] += 0.6 * scores[:, None] * knowing[:count]
    # Equal but for their length, so that rounding makes cosines that differ.
    states[Hookpoint("m", 2, "mean")][:] = np.outer(dice.uniform(1, 9, 2 * count), dice.normal(size=8))
    pairs = ScoredPairs("x", (), tuple((k, count + k) for k in range(count)), tuple(scores))
    return {point: vectors.astype(np.float32) for point, vectors in states.items()}, pairs


def test_the_layer_whose_cosines_follow_the_scores_is_found() -> None:
    states, pairs = planted()
    rows = rank_correlations(states, Hookpoint("m", 3, "mean"), pairs, seed=0)
    best, *_, last = rows
    vectors = states[Hookpoint("m", 1, "mean")].astype(float)
    left, right = vectors[:60], vectors[60:]
    cosines = (left * right).sum(axis=1) / np.linalg.norm(left, axis=1) / np.linalg.norm(right, axis=1)
    assert best.encoder == "m@1:mean"
    assert best.spearman == pytest.approx(stats.spearmanr(cosines, pairs.scores).statistic)
    assert best.pearson == pytest.approx(stats.pearsonr(cosines, pairs.scores).statistic, rel=1e-5)
    assert best.mean_cosine == pytest.approx(cosines.mean(), rel=1e-5)
    assert best.spearman_ci95 is not None
    assert best.spearman_ci95[0] < best.spearman < best.spearman_ci95[1]
    full = next(row for row in rows if row.encoder == "m@3:mean")
    assert best.delta == pytest.approx(best.spearman - (full.spearman or 0))
    assert best.p_value is not None
    assert best.p_value < 0.01
    assert (full.delta, full.p_value) == (None, None)
    assert (last.encoder, last.rank, last.collapsed) == ("m@2:mean", 4, True)
    assert [last.spearman, last.spearman_ci95, last.pearson, last.delta, last.p_value] == [None] * 5
    assert rank_correlations(states, Hookpoint("m", 3, "mean"), pairs, seed=0) == rows


def test_against_a_collapsed_model_nothing_is_tested() -> None:
    states, pairs = planted()
    rows = rank_correlations(states, Hookpoint("m", 2, "mean"), pairs, seed=0)
    assert all(row.delta is None and row.p_value is None for row in rows)
    only = {point: vectors for point, vectors in states.items() if point.layer == 2}
    assert [row.spearman for row in rank_correlations(only, Hookpoint("m", 2, "mean"), pairs, seed=0)] == [None]


def test_the_docstring_pairs_are_what_they_say() -> None:
    pairs = load_scored_pairs("docstrings")
    documents, summaries = pairs.parts
    names = [*documents.ids, *(name.removeprefix("? ") for name in summaries.ids)]
    shares = {0.0: 0, 1.0: 0, 2.0: 0}
    for (left, right), score in zip(pairs.pairs, pairs.scores, strict=True):
        one, other = names[left], names[right]
        same_module = one.rpartition(".")[0] == other.rpartition(".")[0]
        same_package = one.partition(".")[0] == other.partition(".")[0]
        assert score == (2 if one == other else 1 if same_module else 0)
        assert same_module or not same_package
        shares[score] += 1
    assert min(shares.values()) > 0.3 * len(pairs.scores)
    assert len({left for left, _ in pairs.pairs}) == len(pairs.pairs)
    assert "own" in pairs.synthetic


def test_a_docstring_is_never_paired_with_its_own_package_for_the_score_0(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [*(f"numpy.f{k}" for k in range(7)), "os.g", "re.h", "torch.i"]
    texts = Texts(tuple(names), tuple(f"text {name}" for name in names))
    summaries = Texts(tuple(f"? {name}" for name in names), tuple(names))
    small = Dataset("docstrings", "test", texts, summaries, {})
    monkeypatch.setattr("probe.sources.docstrings.read_docstrings", lambda: small)
    packages = [*["numpy"] * 7, "standard library", "standard library", "torch"]
    pairs = load_scored_pairs("docstrings")
    unlike = [pair for pair, score in zip(pairs.pairs, pairs.scores, strict=True) if score == 0]
    assert len(unlike) == 3
    assert all(packages[left - 10] != packages[right] for left, right in unlike)


def test_a_limit_keeps_the_spread_of_the_scores_and_the_sentences_of_its_pairs() -> None:
    pairs = load_scored_pairs("docstrings")
    few = limit_pairs(pairs, 30)
    assert {score: few.scores.count(score) for score in (0.0, 1.0, 2.0)} == {0.0: 10, 1.0: 10, 2.0: 10}
    every = [text for part in pairs.parts for text in part]
    kept = [text for part in few.parts for text in part]
    told = {(every[left], every[right], score) for (left, right), score in zip(pairs.pairs, pairs.scores, strict=True)}
    assert few.limited
    assert all(
        (kept[left], kept[right], score) in told for (left, right), score in zip(few.pairs, few.scores, strict=True)
    )
    assert len(kept) <= 60
    assert limit_pairs(pairs, len(pairs.scores)) is pairs


def test_jsonl_and_csv_give_the_same_pairs(tmp_path: Path) -> None:
    given = [("fire, water", "ice", 4.5), ("ice", "ice", 5.0), ("snow", "fire, water", 0.0)]
    lines = ["sentence1,sentence2,score", *[f'"{left}",{json.dumps(right)},{score}' for left, right, score in given]]
    csv = write_lines(tmp_path / "t.csv", lines)
    records = [{"score": score, "sentence1": left, "sentence2": right} for left, right, score in given]
    jsonl = write_lines(tmp_path / "t.jsonl", [json.dumps(record) for record in records])
    for pairs in (load_scored_pairs(str(csv)), load_scored_pairs(str(jsonl))):
        assert pairs.parts == (Texts(("1", "2", "3"), ("fire, water", "ice", "snow")),)
        assert pairs.pairs == ((0, 1), (1, 1), (2, 0))
        assert pairs.scores == (4.5, 5.0, 0.0)


def test_empty_sentences_and_contradictions_are_defects(tmp_path: Path) -> None:
    lines = ["sentence1,sentence2,score", "a,b,1", "a,b,2", "a,,1"]
    pairs = load_scored_pairs(str(write_lines(tmp_path / "t.csv", lines)))
    assert pairs.defects == (
        f"1 duplicate pairs with different scores (kept): {tmp_path.name}/t.csv:3",
        f"1 pairs with an empty sentence: {tmp_path.name}/t.csv:4",
    )


HEADER = "sentence1,sentence2,score"
FAULTS = {
    "no column": (["sentence1,sentence2,gold", "a,b,1"], "t.csv:1: expected comma-separated columns sentence1, "),
    "no number": ([HEADER, "a,b,high"], 't.csv:2: expected a number as the score, found "high"'),
    "not finite": ([HEADER, "a,b,nan"], 't.csv:2: expected a number as the score, found "nan"'),
    "too few": ([HEADER, "a,b,1", "b,c,2"], "has 2 pairs: expected at least 3"),
    "constant": ([HEADER, "a,b,1", "b,c,1.0", "c,a,1"], "all 3 pairs have the score 1: expected different scores"),
}


@pytest.mark.parametrize(("lines", "message"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_named(tmp_path: Path, lines: list[str], message: str) -> None:
    with pytest.raises(ProbeError) as caught:
        load_scored_pairs(str(write_lines(tmp_path / "t.csv", lines)))
    assert message in str(caught.value)
    assert caught.value.exit_code == 1


def test_true_is_no_score(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "t.jsonl", ['{"sentence1": "a", "sentence2": "b", "score": true}'])
    with pytest.raises(ProbeError, match=r"t\.jsonl:1: expected a number as the score, found true"):
        load_scored_pairs(str(file))


def write_pairs(path: Path, count: int = 30) -> Path:
    dice = random.Random(1)
    texts = [" ".join(dice.choices(WORDS[4:], k=8)) for _ in range(count)]
    lines = [f"{text},{' '.join(text.split()[: k % 6 + 1])},{k % 6}" for k, text in enumerate(texts)]
    return write_lines(path, [HEADER, *lines])


def run(*args: object) -> Result:
    return CliRunner().invoke(cli.probe_app, ["similarity", *map(str, args)], prog_name="probe")


def test_the_command_is_the_same_cold_warm_and_without_a_store(
    tiny_folder: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, data, out = tiny_folder("bert"), write_pairs(tmp_path / "t.csv"), tmp_path / "out.json"
    common = ["-m", model, "-d", data, "--dtype", "float32", "--prompt", "fire "]
    cold = run(*common, "--store", tmp_path / "s", "--save", out, "--details")
    assert cold.exit_code == 0, cold.stderr
    assert all(f"{model}@{layer}:mean" in cold.stdout for layer in range(4))
    assert "ties averaged" in cold.stdout
    without = json.loads(run(*common, "--no-store", "-f", "json").stdout)
    monkeypatch.setattr(
        "probe.encoding.reader.LayerReader.run", lambda *args: pytest.fail("a text passed through the model")
    )
    warm = json.loads(run(*common, "--store", tmp_path / "s", "-f", "json").stdout)
    told = json.loads(out.read_text())
    assert list(told) == ["schema", "kind", "command", "created", "settings", "rows", "verdict"]
    assert [told[key] for key in ("schema", "kind")] == [1, "similarity"]
    assert told["rows"] == warm["rows"] == without["rows"]
    assert told["settings"] == warm["settings"] == without["settings"]
    assert all(list(row) == ROW_KEYS for row in told["rows"])
    assert told["settings"]["models"][0]["prompt"] == "fire "
    assert told["settings"]["dataset"]["pairs"] == 30


def test_synthetic_pairs_are_marked_in_table_and_json(tiny_folder: Callable[[str], Path]) -> None:
    common = ["-m", tiny_folder("bert"), "--limit", 12, "--layers", "3", "--no-store"]
    for form in ("table", "json"):
        shown = run(*common, "-f", form).stdout
        assert "its own" in " ".join(shown.split())
        assert "synthetic" in shown


@pytest.mark.parametrize(
    "wrong",
    [
        ["--save", "x.xml"],
        ["--format", "xml"],
        ["--layers", "9"],
        ["--limit", "2"],
        ["-d", "nowhere.jsonl"],
        ["-d", __file__],
    ],
)
def test_a_wrong_call_gets_exit_code_2(tiny_folder: Callable[[str], Path], tmp_path: Path, wrong: list[str]) -> None:
    data = write_pairs(tmp_path / "t.csv")
    result = run("-m", tiny_folder("bert"), "-d", data, "--no-store", *wrong)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "internal error" not in result.stderr
