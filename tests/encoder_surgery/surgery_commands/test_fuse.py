"""`surgery fuse`, `surgery cut --dataset` and `probe rank` of fusions, as a user types them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_data import make_dataset, write_lines
from typer.testing import CliRunner, Result

import cli
from probe.metrics.retrieval import RunScorer


def run(app: str, *args: object) -> Result:
    typed = [str(arg) for arg in args]
    return CliRunner().invoke(getattr(cli, f"{app}_app"), typed, prog_name=app)


@pytest.fixture
def specs(tiny_folder: Callable[[str], Path]) -> list[str]:
    return [f"{tiny_folder('bert')}@2:mean", f"{tiny_folder('mpnet')}@1:cls"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set with a train and a test split of different queries."""
    folder = make_dataset(tmp_path_factory.mktemp("data") / "tiny")
    lines = (folder / "qrels" / "test.tsv").read_text().splitlines()
    write_lines(folder / "qrels" / "train.tsv", [lines[0], *lines[1:9]])
    write_lines(folder / "qrels" / "test.tsv", [lines[0], *lines[9:]])
    return folder


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the fresh process out where it is not what is tested: it takes seconds."""
    monkeypatch.setattr("surgery.saving.fresh_process.check_saved", lambda *_, **__: None)
    monkeypatch.setattr("surgery.saving.fresh_process.check_encoder", lambda *args, **options: None)


def test_fuse_saves_checks_in_a_fresh_process_and_ranks_as_its_parts_do(
    specs: list[str], data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "fused"
    made = run("surgery", "fuse", *specs, "--out", out)
    assert made.exit_code == 0, made.stderr
    assert made.stdout.strip() == str(out)
    assert "fresh process" in made.stderr
    ranked = run("probe", "rank", "+".join(specs), out, "-d", data, "--dtype", "float32", "--format", "json")
    assert ranked.exit_code == 0, ranked.stderr
    rows = {row["encoder"]: row for row in json.loads(ranked.stdout)["rows"]}
    assert set(rows) == {"+".join(specs), str(out)}
    assert rows[str(out)]["scores"] == pytest.approx(rows["+".join(specs)]["scores"], abs=1e-6)


@pytest.mark.usefixtures("unchecked")
def test_weights_are_tuned_on_train_and_scored_on_test(
    specs: list[str], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    original = RunScorer.score
    monkeypatch.setattr(RunScorer, "score", lambda self, run: (asked.extend(self._queries), original(self, run))[1])
    tuning = ["--tune-weights", "--split", "train", "--dataset", data, "--no-store"]
    result = run("surgery", "fuse", *specs, *tuning, "--out", tmp_path / "fused")
    assert result.exit_code == 0, result.stderr
    assert "(train)" in result.stderr
    trained = [query for query in asked if query in ("q0", "q1", "q2", "q3")]
    assert trained
    assert asked[: len(trained)] == trained
    card = (tmp_path / "fused" / "README.md").read_text()
    assert "## Retrieval" in card
    assert "(test)" in card


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("command", [["cut", "--after", "2"], ["keep", "--blocks", "1,3"]])
def test_the_card_says_how_the_model_scored(
    tiny_folder: Callable[[str], Path], data: Path, tmp_path: Path, command: list[str]
) -> None:
    model, out = tiny_folder("bert"), tmp_path / "out"
    result = run("surgery", *command, "-m", model, "-d", data, "--no-store", "-o", out)
    assert result.exit_code == 0, result.stderr
    card = (out / "README.md").read_text()
    shown = f"{model}@2:mean" if command[0] == "cut" else f"{model}, blocks 1,3@2:mean"
    assert f"{model}@3:mean" in card
    assert shown in card
    assert "4 queries with relevance labels" in card
    assert f"{shown}: ndcg@10" in result.stderr


def test_late_fusion_stands_beside_early_fusion(specs: list[str], data: Path) -> None:
    call = ["rank", "+".join(specs), "-d", data, "--no-store", "--fuse-runs", "rrf,combsum", "--format", "json"]
    board = json.loads(run("probe", *call).stdout)
    names = {row["encoder"] for row in board["rows"]}
    assert names == {"+".join(specs), f"rrf({', '.join(specs)})", f"combsum({', '.join(specs)})"}
    assert "1 / (60 + rank)" in board["settings"]["late_fusion"]
    table = run("probe", *call[:-2], "--details").stdout
    assert "late fusion" in table


WRONG_CALLS = {
    "one hookpoint": ["{a}"],
    "nothing": [],
    "unknown method": ["{a}", "{b}", "--method", "sum"],
    "weights that are no numbers": ["{a}", "{b}", "--weights", "1,x"],
    "too many weights": ["{a}", "{b}", "--weights", "1,2,3"],
    "a weight of zero": ["{a}", "{b}", "--weights", "1,0"],
    "token states": ["{a}", "minilm:tokens"],
    "tuning on test": ["{a}", "{b}", "--tune-weights", "--dataset", "{data}", "--split", "test"],
    "tuning without a split": ["{a}", "{b}", "--tune-weights", "--dataset", "{data}"],
    "tuning without a data set": ["{a}", "{b}", "--tune-weights", "--split", "train"],
    "tuning given weights": ["{a}", "{b}", "--tune-weights", "--split", "train", "-d", "{data}", "--weights", "1,2"],
    "a split for nothing": ["{a}", "{b}", "--split", "train"],
}


@pytest.mark.parametrize("options", WRONG_CALLS.values(), ids=WRONG_CALLS)
def test_a_wrong_call_gets_a_message_exit_code_2_and_no_folder(
    specs: list[str], data: Path, tmp_path: Path, options: list[str]
) -> None:
    typed = [option.format(a=specs[0], b=specs[1], data=data) for option in options]
    result = run("surgery", "fuse", *typed, "--out", tmp_path / "out")
    assert result.exit_code == 2, result.stderr
    assert result.stdout == ""
    assert "internal error" not in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("rules", ["borda", "rrf,", "RRF"])
def test_an_unknown_rule_is_a_wrong_call(specs: list[str], data: Path, rules: str) -> None:
    result = run("probe", "rank", "+".join(specs), "-d", data, "--no-store", "--fuse-runs", rules)
    assert (result.exit_code, "expected one of rrf, combsum" in result.stderr) == (2, True)


def test_late_fusion_of_nothing_is_a_wrong_call(specs: list[str], data: Path) -> None:
    result = run("probe", "rank", specs[0], "-d", data, "--no-store", "--fuse-runs", "rrf")
    assert (result.exit_code, "--fuse-runs" in result.stderr) == (2, True)
