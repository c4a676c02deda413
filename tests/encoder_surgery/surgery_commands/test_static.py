"""`surgery cut --after 0` and `probe layers --static`: one vector per token, fitted on one or several data sets."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sentence_transformers import SentenceTransformer
from tiny_data import make_dataset
from typer.testing import CliRunner, Result

import cli

pytestmark = pytest.mark.usefixtures("quick_checks")


def run(*args: object, app: Any = cli.surgery_app) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args], env={"COLUMNS": "200"})


@pytest.fixture(scope="module")
def model(tiny_folder: Callable[[str], Path]) -> str:
    return str(tiny_folder("bert"))


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    root = tmp_path_factory.mktemp("sets")
    return [str(make_dataset(root / name, seed=seed)) for name, seed in (("one", 3), ("two", 5))]


def test_a_cut_after_0_is_fitted_scored_saved_and_named(
    model: str, sets: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("cut", model, "--after", 0, "-d", sets[0], "-d", sets[1])
    assert (result.exit_code, result.stdout) == (0, "bert-static\n")
    assert "80 texts; against the full model's vectors of 8 texts: cosine" in result.stderr
    assert f"probe rank {model} ./bert-static -d {sets[0]} -d {sets[1]}" in result.stderr
    assert f"probe rank --queries ./bert-static --documents {model}" in result.stderr
    opened = SentenceTransformer("bert-static", device="cpu")
    assert [type(module).__name__ for module in opened] == ["StaticEmbedding", "Normalize"]
    card = (tmp_path / "bert-static" / "README.md").read_text()
    assert "## Retrieval" in card
    assert "bert-static@0:own" in card
    again = run("cut", model, "--after", 0, "-d", sets[0])
    assert (again.exit_code, "exists" in again.stderr) == (2, True)
    assert run("cut", model, "--after", 0, "-d", sets[0], "--force").exit_code == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "fitted to the texts of a data set: add --dataset"),
        (["--lens", "-d", "docstrings"], "--after 0 --lens: .* leave out --lens"),
        (["--pooling", "cls", "-d", "docstrings"], "--after 0 --pooling: .* leave out --pooling"),
    ],
)
def test_what_a_cut_without_blocks_cannot_have_is_refused(
    model: str, tmp_path: Path, options: list[str], said: str
) -> None:
    result = run("cut", model, "--after", 0, "--out", tmp_path / "out", *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert list(tmp_path.iterdir()) == []
    words = " ".join(result.stderr.split())
    assert all(part in words for part in said.split(" .* "))


def test_layers_have_a_row_of_the_static_cut(model: str, sets: list[str]) -> None:
    result = run("layers", model, "-d", sets[0], "--static", "--no-store", "--format", "json", app=cli.probe_app)
    rows = {row["encoder"]: row for row in json.loads(result.stdout)["rows"]}
    static = rows[f"{model}-static@0:own"]
    assert (static["transductive"], static["labels"], static["layer"]) == (True, "none", 0)
    assert len(rows) == 5


def test_over_several_data_sets_one_static_cut_is_fitted_to_all(model: str, sets: list[str]) -> None:
    options = ["-d", sets[0], "-d", sets[1], "--layers", "3", "--static", "--no-store", "--format", "json"]
    result = run("layers", model, *options, app=cli.probe_app)
    assert result.exit_code == 0, result.stderr
    assert result.stderr.count("against the full model's vectors of 8 texts") == 1
    (row,) = [row for row in json.loads(result.stdout)["rows"] if "static" in row["encoder"]]
    assert set(row["datasets"]) == {"one", "two"}
