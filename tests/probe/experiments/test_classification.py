"""Trained probes against plain scikit-learn: nothing leaks, chance looks like chance; and the command."""

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits
from tiny_data import make_dataset, write_lines
from tiny_models import WORDS
from typer.testing import CliRunner, Result

import cli
from probe.data.texts import Texts
from probe.errors import ProbeError
from probe.experiments.classification import rank_probes
from probe.experiments.linear_probe import (
    INNER_FOLDS,
    MOST_STEPS,
    PENALTIES,
    TOLERANCE,
    LinearProbeConfig,
    cross_predict,
    fewest_texts,
)
from probe.layers.hookpoint import Hookpoint
from probe.metrics import classification as class_scores
from probe.metrics.classification import MEASURES, intervals, measure_all, paired_test
from probe.metrics.vectors import Embeddings
from probe.results.classification import MAJORITY, SHUFFLED, ClassificationRow
from probe.sources.labelled_texts import LabelledTexts, limit_texts, load_labelled_texts

DICE = np.random.default_rng(5)
TRUTH = np.arange(120) % 3
NOISE = DICE.normal(size=(120, 6)).astype(np.float32)
HINT = (NOISE + 1.2 * np.eye(6)[TRUTH]).astype(np.float32)
SCORERS = {"accuracy": accuracy_score, "macro-f1": partial(f1_score, average="macro")}
ROW_KEYS = [
    "rank",
    "encoder",
    "control",
    "layer",
    "pooling",
    "dim",
    "accuracy",
    "accuracy_ci95",
    "macro_f1",
    "macro_f1_ci95",
    "delta",
    "p_value",
    "shuffled_accuracy",
    "shuffled_macro_f1",
    "selectivity",
    "penalties",
    "unconverged",
    "collapsed",
    "fit_seconds",
]


@pytest.fixture(autouse=True, scope="module")
def single_threads() -> Iterator[None]:
    with threadpool_limits(1):
        yield


def fit_by_hand(vectors: Embeddings, truth: Any, penalty: float) -> tuple[StandardScaler, LogisticRegression]:
    scaler = StandardScaler().fit(vectors)
    model = LogisticRegression(C=penalty, tol=TOLERANCE, max_iter=MOST_STEPS)
    return scaler, model.fit(scaler.transform(vectors), truth)


def score_by_hand(vectors: Embeddings, truth: Any, penalty: float, metric: str) -> float:
    """The mean over the inner folds of a training part."""
    found = []
    for inside, outside in StratifiedKFold(INNER_FOLDS, shuffle=True, random_state=4).split(vectors, truth):
        scaler, model = fit_by_hand(vectors[inside], truth[inside], penalty)
        predicted = model.predict(scaler.transform(vectors[outside]))
        right = truth[outside]
        score = (
            accuracy_score(right, predicted) if metric == "accuracy" else f1_score(right, predicted, average="macro")
        )
        found.append(score)
    return float(np.mean(found))


@pytest.mark.parametrize("metric", ["accuracy", "macro-f1"])
def test_predictions_and_penalties_are_those_of_a_nested_cross_validation_by_hand(metric: str) -> None:
    predicted, penalties = np.empty_like(TRUTH), []
    for training, held_out in StratifiedKFold(4, shuffle=True, random_state=4).split(HINT, TRUTH):
        scores = [score_by_hand(HINT[training], TRUTH[training], c, metric) for c in PENALTIES]
        penalties.append(PENALTIES[int(np.argmax(scores))])
        scaler, model = fit_by_hand(HINT[training], TRUTH[training], penalties[-1])
        predicted[held_out] = model.predict(scaler.transform(HINT[held_out]))
    found = cross_predict(HINT, TRUTH, LinearProbeConfig(metric, 4, 4))
    assert found.predicted.tolist() == predicted.tolist()
    assert found.penalties == tuple(penalties)
    assert len(set(penalties)) > 1
    assert found.unconverged == 0


def test_no_scaler_sees_a_row_that_it_is_judged_on(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[set[float]] = []

    class Spy(StandardScaler):
        def fit_transform(self, X: Any, y: Any = None, **more: Any) -> Any:  # noqa: N803
            self.seen = set(X[:, 0].tolist())
            seen.append(self.seen)
            return self.fit(X).transform(X, own=True)

        def transform(self, X: Any, own: bool = False) -> Any:  # noqa: N803
            assert own or not self.seen & set(X[:, 0].tolist())
            return super().transform(X)

    monkeypatch.setattr("sklearn.preprocessing.StandardScaler", Spy)
    cross_predict(HINT, TRUTH, LinearProbeConfig())
    everything = set(HINT[:, 0].tolist())
    assert len(everything) == 120
    left_out = [everything - rows for rows in seen if len(rows) == 96]
    assert sorted(row for rows in left_out for row in rows) == sorted(everything)
    assert len(seen) == 5 * (1 + len(PENALTIES) * INNER_FOLDS)


def test_noise_of_more_dimensions_than_texts_stays_at_chance() -> None:
    noise = np.random.default_rng(1).normal(size=(90, 300)).astype(np.float32)
    truth = np.arange(90) % 3
    predicted = cross_predict(noise, truth, LinearProbeConfig(folds=3)).predicted
    low, high = intervals(truth[None], predicted[None], 3, seed=0)["accuracy"][0]
    assert low <= 1 / 3 <= high


def test_measures_are_those_of_scikit_learn() -> None:
    dice = np.random.default_rng(2)
    truth, predicted = dice.integers(0, 4, 50), dice.integers(0, 4, (3, 50))
    truth[truth == 3] = 2  # never right
    predicted[0][predicted[0] == 3] = 1  # neither there nor predicted
    found = measure_all(np.stack([truth] * 3), predicted, 4)
    for row in range(3):
        assert found["accuracy"][row] == pytest.approx(accuracy_score(truth, predicted[row]))
        assert found["macro-f1"][row] == pytest.approx(f1_score(truth, predicted[row], average="macro"))


def test_intervals_are_percentiles_over_the_same_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    dice = np.random.default_rng(3)
    truth, predicted = dice.integers(0, 3, (2, 40)), dice.integers(0, 3, (2, 40))
    draws = [dice.multinomial(40, np.full(40, 1 / 40), size=30) for _ in range(4)]
    monkeypatch.setattr(class_scores, "resamples", lambda count, seed: iter(draws))
    found = intervals(truth, predicted, 3, seed=0)
    for row in range(2):
        for name, scorer in SCORERS.items():
            scores = []
            for counts in np.concatenate(draws):
                rows = np.repeat(np.arange(40), counts)
                scores.append(scorer(truth[row][rows], predicted[row][rows]))
            assert found[name][row] == pytest.approx(tuple(np.quantile(scores, [0.025, 0.975])))


@pytest.mark.parametrize("name", MEASURES)
def test_p_values_are_those_of_swapped_predictions(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    dice = np.random.default_rng(4)
    truth = np.arange(30) % 3
    predicted = np.where(dice.random((2, 30)) < 0.6, truth, dice.integers(0, 3, (2, 30)))
    first, second = predicted
    draws = dice.integers(0, 2, (10_000, 30), dtype=np.int8)
    monkeypatch.setattr(class_scores, "swaps", lambda count, seed: iter(np.split(draws, 20)))
    (found,) = paired_test(truth, first[None], second, measure=MEASURES[name], seed=0)
    swapped = draws[:1000].astype(bool)

    def score(predictions: Any) -> Any:
        return measure_all(np.stack([truth] * len(predictions)), predictions, 3)[name]

    left, right = np.where(swapped, second, first), np.where(swapped, first, second)
    observed = abs(score(first[None])[0] - score(second[None])[0])
    share = float((np.abs(score(left) - score(right)) >= observed - 1e-9).mean())
    assert found == pytest.approx(share, abs=0.04)
    assert 0.01 < found < 0.99
    assert paired_test(truth, first[None], first, measure=MEASURES[name], seed=0) == [1.0]


def planted() -> tuple[dict[Hookpoint, Embeddings], list[str]]:
    """States of four layers, only the third of which knows the labels."""
    states = {Hookpoint("m", k, "mean"): np.random.default_rng(k).normal(size=(120, 6)) for k in range(4)}
    states[Hookpoint("m", 2, "mean")] += 2.0 * np.eye(6)[TRUTH]
    return {point: vectors.astype(np.float32) for point, vectors in states.items()}, [f"l{k}" for k in TRUTH]


@pytest.fixture(scope="module")
def rows() -> tuple[ClassificationRow, ...]:
    states, labels = planted()
    return rank_probes(states, Hookpoint("m", 2, "mean"), labels, config=LinearProbeConfig(folds=3))


def test_the_layer_that_knows_the_labels_is_found(rows: tuple[ClassificationRow, ...]) -> None:
    best, *others = rows
    assert (best.rank, best.encoder, best.layer, best.pooling, best.dim) == (1, "m@2:mean", 2, "mean", 6)
    assert best.accuracy > 0.75
    assert best.selectivity == pytest.approx(best.accuracy - (best.shuffled_accuracy or 0))
    assert best.selectivity > 0.4
    assert all(row.accuracy < 0.5 and abs(row.selectivity or 0) < 0.2 for row in others)
    assert [row.rank for row in rows] == list(range(1, 7))
    assert [row.accuracy for row in rows] == sorted((row.accuracy for row in rows), reverse=True)


def test_deltas_are_against_the_full_model(rows: tuple[ClassificationRow, ...]) -> None:
    full, *others = rows
    assert (full.delta, full.p_value) == (None, None)
    for row in others:
        if row.control != SHUFFLED:
            assert row.delta == pytest.approx(row.accuracy - full.accuracy)
            assert row.p_value is not None
            assert row.p_value < 0.001


def test_shuffled_labels_are_at_chance(rows: tuple[ClassificationRow, ...]) -> None:
    control = next(row for row in rows if row.control == SHUFFLED)
    assert control.encoder == "m@2:mean, labels shuffled"
    assert control.accuracy_ci95 is not None
    assert control.accuracy_ci95[0] <= 1 / 3 <= control.accuracy_ci95[1]
    assert (rows[0].shuffled_accuracy, rows[0].shuffled_macro_f1) == (control.accuracy, control.macro_f1)
    assert (control.delta, control.p_value, control.shuffled_accuracy) == (None, None, None)


def test_the_same_seed_gives_the_same_rows(rows: tuple[ClassificationRow, ...]) -> None:
    states, labels = planted()
    again = rank_probes(states, Hookpoint("m", 2, "mean"), labels, config=LinearProbeConfig(folds=3))
    assert [replace(row, fit_seconds=None) for row in again] == [replace(row, fit_seconds=None) for row in rows]


def test_the_commonest_label_has_its_share() -> None:
    labels = ["a"] * 30 + ["b"] * 12 + ["c"] * 8
    states = {Hookpoint("m", 0, "mean"): np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)}
    rows = rank_probes(states, Hookpoint("m", 0, "mean"), labels, config=LinearProbeConfig("macro-f1", 2))
    row = next(row for row in rows if row.control == MAJORITY)
    assert row.accuracy == pytest.approx(0.6)
    assert row.macro_f1 == pytest.approx(f1_score(labels, ["a"] * 50, average="macro"))
    assert [row.macro_f1 for row in rows] == sorted((row.macro_f1 for row in rows), reverse=True)


def test_a_collapsed_layer_is_marked_and_knows_the_commonest_label_only() -> None:
    states = {Hookpoint("m", 0, "mean"): np.ones((60, 4), np.float32)}
    row = next(
        r
        for r in rank_probes(states, Hookpoint("m", 0, "mean"), ["a", "a", "b"] * 20, config=LinearProbeConfig())
        if r.layer == 0
    )
    assert row.collapsed
    assert row.accuracy == pytest.approx(2 / 3)


@pytest.mark.parametrize(("folds", "fewest"), [(2, 6), (3, 5), (4, 4), (5, 5), (10, 10)])
def test_the_fewest_texts_of_a_label_are_enough(folds: int, fewest: int) -> None:
    assert fewest_texts(folds) == fewest
    truth = np.array([0] * fewest + [1] * 30)
    for training, held_out in StratifiedKFold(folds, shuffle=True, random_state=0).split(truth, truth):
        assert (truth[training] == 0).sum() >= INNER_FOLDS
        assert fewest < folds or (truth[held_out] == 0).any()


def test_a_limit_keeps_the_shares_of_the_labels() -> None:
    labels = tuple("aaaaaabbbc" * 20)
    texts = LabelledTexts("x", Texts.gather((str(k), f"t{k}") for k in range(200)), labels)
    few = limit_texts(texts, 50, fewest=7)
    assert dict(few.classes) == {"a": 30, "b": 15, "c": 7}
    assert few.limited
    assert all(texts.labels[int(name)] == found for name, found in zip(few.texts.ids, few.labels, strict=True))
    assert limit_texts(texts, 200, 7) is texts


def test_the_docstrings_are_labelled_by_package() -> None:
    texts = load_labelled_texts("docstrings")
    assert list(texts.classes) == ["scipy", "torch", "numpy", "sklearn", "standard library"]
    assert texts.labels[texts.texts.ids.index("asyncio.gather")] == "standard library"
    assert "package" in texts.synthetic


def test_jsonl_and_csv_give_the_same_texts(tmp_path: Path) -> None:
    given = [("fire, water", "a"), ('the "sea"', "b"), ("two\nlines", "a"), ("æø", "3")]
    csv = tmp_path / "t.csv"
    cells = [f'"{text.replace(chr(34), 2 * chr(34))}",x,{label}' for text, label in given]
    csv.write_text("\ufeff" + "\r\n".join(["text,other,label", *cells]) + "\r\n", encoding="utf-8")
    records = [json.dumps({"text": text, "label": int(label) if label == "3" else label}) for text, label in given]
    jsonl = tmp_path / "t.jsonl"
    jsonl.write_text("\ufeff" + "\n\n".join(records), encoding="utf-8")
    for texts in (load_labelled_texts(str(csv)), load_labelled_texts(str(jsonl))):
        assert list(zip(texts.texts.texts, texts.labels, strict=True)) == given
        assert texts.defects == ()


def test_texts_that_come_again_are_defects(tmp_path: Path) -> None:
    lines = ["text,label", "fire,a", "ice,b", "fire,a", "fire,b", '"",b', "fire,b"]
    texts = load_labelled_texts(str(write_lines(tmp_path / "t.csv", lines)))
    assert texts.texts.texts == ("fire", "ice", "fire", "")
    assert texts.labels == ("a", "b", "b", "b")
    name = tmp_path.name
    assert texts.defects == (
        f"2 duplicate texts with the same label (counted once): {name}/t.csv:4, {name}/t.csv:7",
        f"1 duplicate texts with different labels (kept, although one must be wrong): {name}/t.csv:5",
        f"1 empty texts: {name}/t.csv:6",
    )


FAULTS = {
    "not JSON": ("t.jsonl", ['{"text": "a", "label": "b"}', "{"], "t.jsonl:2: not JSON"),
    "no object": ("t.jsonl", ["[1]"], 't.jsonl:1: expected an object with "text" and "label", found [1]'),
    "no label": ("t.jsonl", ['{"text": "a"}'], "t.jsonl:1: expected an object with"),
    "no string": ("t.jsonl", ['{"text": 1, "label": "b"}'], 't.jsonl:1: expected a string as "text", found 1'),
    "a fraction": ("t.jsonl", ['{"text": "a", "label": 0.5}'], "t.jsonl:1: expected a string or an integer"),
    "empty label": ("t.csv", ["text,label", "a,"], "t.csv:2: expected a string or an integer as the label, found"),
    "no column": ("t.csv", ["text,class", "a,b"], "t.csv:1: expected comma-separated columns text, label, found"),
    "empty file": ("t.csv", [], "t.csv:1: expected comma-separated columns text, label, found an empty file"),
    "comma in a text": ("t.csv", ["text,label", "a,b,c"], "t.csv:2: more values than columns"),
    "short row": ("t.csv", ["text,label", "a,b", "c"], "t.csv:3: fewer values than columns"),
    "open quote": ("t.csv", ["text,label", "a,b", '"a,b', "c,d"], "t.csv:3: not CSV"),
    "one label": ("t.csv", ["text,label", "a,x", "b,x"], "every text has the label 'x'; expected texts with"),
    "no text": ("t.csv", ["text,label"], "it has no texts; expected"),
}


@pytest.mark.parametrize(("name", "lines", "message"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_named_by_file_and_line(tmp_path: Path, name: str, lines: list[str], message: str) -> None:
    with pytest.raises(ProbeError) as caught:
        load_labelled_texts(str(write_lines(tmp_path / name, lines)))
    assert message in str(caught.value)
    assert caught.value.exit_code == 1


def test_what_is_not_utf_8_is_named_by_line(tmp_path: Path) -> None:
    for name in ("t.csv", "t.jsonl"):
        (tmp_path / name).write_bytes(b'text,label\n"a\xff",b\n' if name == "t.csv" else b'{"text": "\xff"}\n')
        with pytest.raises(ProbeError, match=rf"{name}:[12]: not UTF-8"):
            load_labelled_texts(str(tmp_path / name))


def write_labelled(path: Path, count: int = 48) -> Path:
    """Texts of known words; their label says which half of the words they are of."""
    dice = random.Random(1)
    halves = (WORDS[4:30], WORDS[30:])
    lines = [f"{' '.join(dice.choices(halves[k % 2], k=8))},{'ab'[k % 2]}" for k in range(count)]
    return write_lines(path, ["text,label", *lines])


def run(*args: object) -> Result:
    return CliRunner().invoke(cli.probe_app, ["classify", *map(str, args)], prog_name="probe")


def plain(told: dict[str, Any]) -> dict[str, Any]:
    rows = [{key: value for key, value in row.items() if key != "fit_seconds"} for row in told["rows"]]
    return {"rows": rows, "settings": told["settings"]}


def test_the_command_is_the_same_cold_warm_and_without_a_store(
    tiny_folder: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, data, out = tiny_folder("bert"), write_labelled(tmp_path / "t.csv"), tmp_path / "out.json"
    common = ["-m", model, "-d", data, "--layers", "2", "--dtype", "float32", "--folds", 3, "--prompt", "ice "]
    cold = run(*common, "--store", tmp_path / "s", "--save", out)
    assert cold.exit_code == 0, cold.stderr
    assert f"{model}@2:mean" in cold.stdout
    assert f"{model}@3:mean, labels shuffled" in cold.stdout
    assert "selectivity" in cold.stdout
    without = json.loads(run(*common, "--no-store", "-f", "json").stdout)
    monkeypatch.setattr(
        "probe.encoding.reader.LayerReader.run", lambda *args: pytest.fail("a text passed through the model")
    )
    warm = json.loads(run(*common, "--store", tmp_path / "s", "-f", "json").stdout)
    told = json.loads(out.read_text())
    assert plain(told) == plain(warm) == plain(without)
    assert [told[key] for key in ("schema", "kind")] == [1, "classify"]
    assert list(told) == ["schema", "kind", "command", "created", "settings", "rows", "verdict"]
    assert all(list(row) == ROW_KEYS for row in told["rows"])
    assert told["settings"]["baseline"] == f"{model}@3:mean"
    assert told["settings"]["dataset"]["labels"] == {"a": 24, "b": 24}
    assert told["settings"]["models"][0]["prompt"] == "ice "


def test_a_report_shows_it_beside_a_leaderboard(tiny_folder: Callable[[str], Path], tmp_path: Path) -> None:
    """One has a prompt for all texts, the other one for queries and one for documents."""
    common = ["-m", tiny_folder("bert"), "--layers", 2, "--no-store"]
    labelled, ranked, page = (tmp_path / name for name in ("labelled.json", "ranked.json", "page.html"))
    told = run(*common, "-d", write_labelled(tmp_path / "t.csv"), "--max-tokens", 9, "--save", labelled)
    assert told.exit_code == 0, told.stderr
    rank = ["layers", *common, "-d", make_dataset(tmp_path / "tiny"), "--save", ranked]
    for words in (rank, ["report", labelled, ranked, "--out", page]):
        done = CliRunner().invoke(cli.probe_app, [str(word) for word in words], prog_name="probe")
        assert done.exit_code == 0, done.stderr
    text = page.read_text()
    assert "ran with different settings (max_tokens): compare its rows within one result only" in text


def test_a_label_with_too_few_texts_is_named(tiny_folder: Callable[[str], Path], tmp_path: Path) -> None:
    lines = ["text,label", *[f"fire {k},a" for k in range(9)], *[f"ice {k},rare" for k in range(4)]]
    result = run("-m", tiny_folder("bert"), "-d", write_lines(tmp_path / "t.csv", lines), "--no-store")
    assert result.exit_code == 1
    assert "the label 'rare' has 4 texts, but 5 folds need 5" in result.stderr


@pytest.mark.parametrize(
    "wrong",
    [
        ["--save", "x.xml"],
        ["--format", "xml"],
        ["--layers", "9"],
        ["--metric", "auc"],
        ["--folds", "1"],
        ["--limit", "0"],
        ["-d", "nowhere.csv"],
        ["-d", __file__],
    ],
)
def test_a_wrong_call_gets_exit_code_2(tiny_folder: Callable[[str], Path], tmp_path: Path, wrong: list[str]) -> None:
    data = write_labelled(tmp_path / "t.csv")
    result = run("-m", tiny_folder("bert"), "-d", data, "--no-store", *wrong)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "internal error" not in result.stderr
