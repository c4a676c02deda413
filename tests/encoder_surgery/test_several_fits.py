"""Commands that fit or choose on several data sets: one fit, one choice, and what they say of each data set."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_data import make_dataset, write_lines
from typer.testing import CliRunner, Result

import cli
from adaptors import fit, open_adapted
from adaptors.choosing import recommend as recommend_module
from adaptors.encoders.description import read_adaptor
from probe import load_dataset
from probe.encoding import chunk_states
from probe.encoding.reader import LayerReader


def run(app: str, *args: object) -> Result:
    return CliRunner().invoke(getattr(cli, f"{app}_app"), [str(arg) for arg in args], prog_name=app)


@pytest.fixture(scope="module")
def model(tiny_folder: Callable[[str], Path]) -> str:
    return str(tiny_folder("bert"))


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Three data sets of other texts; the last has no training split."""
    root, made = tmp_path_factory.mktemp("sets"), {}
    for seed, name in enumerate(("first", "second", "third")):
        folder = made[name] = make_dataset(root / name, 40 - 5 * seed, 16, seed)
        lines = (folder / "qrels" / "test.tsv").read_text().splitlines()
        write_lines(folder / "qrels" / "test.tsv", [lines[0], *lines[17:]])
        if name != "third":
            write_lines(folder / "qrels" / "train.tsv", [lines[0], *lines[1:17]])
    return made


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the fresh process out where it is not what is tested: it takes seconds."""
    monkeypatch.setattr("surgery.saving.fresh_process.check_saved", lambda *_, **__: None)
    monkeypatch.setattr("surgery.saving.fresh_process.check_encoder", lambda *args, **options: None)


def flags(sets: dict[str, Path], *names: str, option: str = "-d") -> list[object]:
    return [part for name in names for part in (option, sets[name])]


def rank(model: str, *args: object) -> dict[str, Any]:
    asked = ["--kinds", "truncate", "--dims", 8, "--dtype", "float32", "--no-store", "-f", "json"]
    result = run("adaptors", "rank", f"{model}@2:mean", *asked, *args)
    assert result.exit_code == 0, result.stderr
    board: dict[str, Any] = json.loads(result.stdout)
    return board


def test_adaptors_fitted_on_one_set_are_ranked_on_others(
    model: str, sets: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[tuple[str, str]] = []
    original = chunk_states.open_shelf

    def spy(reader: Any, side: Any, *rest: Any, **named: Any) -> Any:
        read.append((side.dataset, side.name))
        return original(reader, side, *rest, **named)

    monkeypatch.setattr(chunk_states, "open_shelf", spy)
    board = rank(model, "--fit-on", sets["first"], *flags(sets, "second", "third"))
    assert read[:2] == [("first", "documents"), ("first", "queries")]
    assert {name for name, _ in read[2:]} == {"second", "third"}
    assert board["settings"]["adaptors"] == ["fitted on the texts of first"]
    assert not any(row["transductive"] for row in board["rows"])
    assert {row["adaptor"] for row in board["rows"]} == {None, "truncate", "pca"}


def test_the_set_of_the_fit_is_transductive_where_it_is_ranked_too(model: str, sets: dict[str, Path]) -> None:
    board = rank(model, *flags(sets, "first", "second", option="--fit-on"), *flags(sets, "second", "third"))
    (row,) = [row for row in board["rows"] if row["adaptor"] == "pca"]
    assert {name: one["transductive"] for name, one in row["datasets"].items()} == {"second": True, "third": False}
    assert board["settings"]["adaptors"] == ["fitted on the texts of first and second"]
    alone = rank(model, "--fit-on", sets["first"], *flags(sets, "second"))
    assert not any(row["transductive"] for row in alone["rows"])
    assert alone["settings"]["adaptors"] == ["fitted on the texts of first"]


def test_what_holds_for_all_sets_is_said_once_below_the_table(model: str, sets: dict[str, Path]) -> None:
    asked = ["--kinds", "truncate", "--dims", 8, "--fit-on", sets["first"], *flags(sets, "second", "third")]
    result = run("adaptors", "rank", f"{model}@2:mean", *asked, "--no-store")
    assert result.exit_code == 0, result.stderr
    said = " ".join(result.stdout.split())
    assert said.count("fitted on the texts of first") == 1
    assert ": fitted on" not in said


def test_labels_are_those_of_the_set_of_the_fit(model: str, sets: dict[str, Path]) -> None:
    trained = ["--kinds", "linear", "--labels", "train", "--steps", 1, "--fit-on", sets["first"]]
    result = run("adaptors", "rank", model, *trained, *flags(sets, "third"), "--dims", 8, "--no-store", "-f", "json")
    assert result.exit_code == 0, result.stderr
    board = json.loads(result.stdout)
    assert {row["labels"] for row in board["rows"] if row["adaptor"] == "linear"} == {"none", "train"}
    assert board["settings"]["adaptors"][0] == "fitted on the texts of first, relevance labels of train"
    # The third has no such split; and where the first is ranked on train, its labels are not for fits.
    for wrong, words in (
        (["--fit-on", sets["third"], *flags(sets, "first")], "'train'"),
        (["--fit-on", sets["first"], *flags(sets, "first", "third"), "--split", "first=train"], "not the scored split"),
    ):
        refused = run("adaptors", "rank", model, "--kinds", "linear", "--labels", "train", *wrong, "--no-store")
        assert refused.exit_code == 2, refused.stderr
        assert words in refused.stderr


def test_fit_on_the_ranked_set_alone_is_refused(model: str, sets: dict[str, Path]) -> None:
    result = run("adaptors", "rank", model, "--fit-on", sets["first"], *flags(sets, "first"))
    assert result.exit_code == 2
    assert "--fit-on does nothing with the data set that is ranked" in " ".join(result.stderr.split())


@pytest.mark.usefixtures("unchecked")
def test_a_joint_lens_is_saved_with_the_scores_on_every_set(model: str, sets: dict[str, Path], tmp_path: Path) -> None:
    both = [str(sets["first"]), str(sets["second"])]
    cut = ["cut", model, "--after", 2, "--lens", "--no-store"]
    made = run("surgery", *cut, *flags(sets, "first", "second"), "--out", tmp_path / "joint")
    assert made.exit_code == 0, made.stderr
    assert [name for name, _ in read_adaptor(tmp_path / "joint").seen or ()] == ["first", "second"]
    opened = open_adapted(tmp_path / "joint").encoder
    assert [opened.adaptor.saw(load_dataset(folder)) for folder in sets.values()] == [True, True, False]
    fitted, alone = (fit("lens", f"{model}@2", data, dims=()) for data in (both, both[0]))
    saved, joint, single = (one.module.state_dict()["weight"] for one in (opened, fitted.encoder, alone.encoder))
    assert torch.allclose(saved, joint, atol=1e-5)
    assert not torch.allclose(saved, single, atol=1e-2)
    card = (tmp_path / "joint" / "README.md").read_text()
    assert "fitted to the texts of first and second without labels" in card
    (lens,) = [row for row in fitted.board.rows if row.adaptor == "lens"]
    for name, row in (lens.datasets or {}).items():
        assert f"{name} {row.scores['ndcg@10']:.4f}" in made.stderr
        assert f"{row.scores['ndcg@10']:.4f}" in card
    assert f"adaptors heal {tmp_path / 'joint'} -d {both[0]} -d {both[1]}" in made.stderr


@pytest.mark.usefixtures("unchecked")
def test_a_raw_cut_is_scored_on_every_set(model: str, sets: dict[str, Path], tmp_path: Path) -> None:
    cut = ["cut", model, "--after", 2, "--no-store"]
    made = run("surgery", *cut, *flags(sets, "first", "third"), "-o", tmp_path / "cut")
    assert made.exit_code == 0, made.stderr
    assert ", the mean of first 0." in made.stderr
    card = (tmp_path / "cut" / "README.md").read_text()
    assert card.count("## Retrieval") == 1
    assert all(f"- data: {name} (test), " in card for name in ("first", "third"))


@pytest.mark.usefixtures("unchecked")
def test_weights_are_tuned_on_the_mean_and_scored_on_every_set(
    tiny_folder: Callable[[str], Path], sets: dict[str, Path], tmp_path: Path
) -> None:
    specs = [f"{tiny_folder('bert')}@2:mean", f"{tiny_folder('mpnet')}@1:cls"]
    tuning = ["--tune-weights", "--split", "train", "--no-store", "--out", tmp_path / "fused"]
    made = run("surgery", "fuse", *specs, *tuning, *flags(sets, "first", "second"))
    assert made.exit_code == 0, made.stderr
    said = " ".join(made.stderr.split())
    assert "on the mean of 2 data sets: first (train) 0." in said
    assert "; second (train) 0." in said
    card = (tmp_path / "fused" / "README.md").read_text()
    assert all(f"- data: {name} (test), " in card for name in ("first", "second"))
    refused = run("surgery", "fuse", *specs, *tuning[:-1], tmp_path / "none", *flags(sets, "first", "third"))
    assert refused.exit_code == 2
    assert "third" in refused.stderr
    assert not (tmp_path / "none").exists()


def test_one_layer_is_recommended_on_all_sets(
    model: str, sets: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    fit_lenses = recommend_module.fit_lenses

    def spy(*args: Any, **named: Any) -> Any:
        calls.append("fit")
        return fit_lenses(*args, **named)

    monkeypatch.setattr(recommend_module, "fit_lenses", spy)
    asked = ["layers", model, *flags(sets, "first", "second"), "--recommend", "0.99", "--no-store", "-f", "json"]
    for on, words in (("every", "on every set"), ("mean", "on the mean of 2 sets")):
        calls.clear()
        result = run("probe", *asked, "--recommend-on", on)
        assert result.exit_code == 0, result.stderr
        found = json.loads(result.stdout)["settings"]["recommendation"]
        assert f" {words} (" in found
        assert "of first train and" in found
        assert "of second train, Holm" in found
        assert f"-d {sets['first']} -d {sets['second']}" in found
        assert calls == ["fit"]


def test_a_recommendation_needs_a_training_split_of_every_set(
    model: str, sets: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LayerReader, "__init__", lambda *_: pytest.fail("the model is opened"))
    result = run("probe", "layers", model, *flags(sets, "first", "third"), "--recommend", "0.01", "--no-store")
    assert result.exit_code == 2, result.stderr
    assert f"'{sets['third']}' has none" in result.stderr.replace("\n", " ")


@pytest.mark.parametrize(
    ("args", "why"),
    [
        (["-d", "docstrings", "--recommend", "0.01"], "with a single data set"),
        (["--recommend", "0.01"], "with a single data set"),
        (["-d", "scifact", "-d", "nfcorpus"], "without --recommend"),
    ],
)
def test_recommend_on_is_refused_where_it_does_nothing(model: str, args: list[str], why: str) -> None:
    result = run("probe", "layers", model, *args, "--recommend-on", "mean")
    assert result.exit_code == 2
    assert f"--recommend-on does nothing {why}" in " ".join(result.stderr.split())


@pytest.mark.usefixtures("unchecked")
def test_one_adaptor_is_fitted_to_several_sets(model: str, sets: dict[str, Path], tmp_path: Path) -> None:
    made = run("adaptors", "fit", "pca", model, *flags(sets, "first", "second"), "--no-store", "-o", tmp_path / "pca")
    assert made.exit_code == 0, made.stderr
    assert "fitted on the texts of first and second" in made.stderr
    assert [name for name, _ in read_adaptor(tmp_path / "pca").seen or ()] == ["first", "second"]
