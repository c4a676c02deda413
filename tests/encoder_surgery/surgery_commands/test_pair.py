"""`surgery pair`: the folder on stdout, the words on stderr, and the score of the two encoders that were paired."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_data import make_dataset
from tiny_models import write_model, write_sentence_transformer
from tiny_routers import write_static
from typer.testing import CliRunner, Result

import cli

pytestmark = pytest.mark.usefixtures("quick_checks")


def run(app: str, *args: object) -> Result:
    typed = [str(arg) for arg in args]
    return CliRunner().invoke(getattr(cli, f"{app}_app"), typed, prog_name=app, env={"COLUMNS": "200"})


def rows(*args: object) -> dict[str, Any]:
    result = run("probe", "rank", *args, "--format", "json")
    assert result.exit_code == 0, result.stderr
    return {row["encoder"]: row for row in json.loads(result.stdout)["rows"]}


@pytest.fixture(scope="module")
def model(tiny_folder: Callable[[str], Path]) -> Path:
    return tiny_folder("bert")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("data") / "tiny")


@pytest.fixture
def sides(model: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a working folder with a static cut and a cut with a lens of the model."""
    monkeypatch.chdir(tmp_path)
    for name, options in (("static", ["--after", 0]), ("lens", ["--after", 2, "--lens"])):
        made = run("surgery", "cut", model, *options, "-d", data, "--no-store", "--out", name)
        assert made.exit_code == 0, made.stderr
    return tmp_path


def test_the_folder_is_the_result_and_what_it_is_are_words(sides: Path, model: Path) -> None:
    result = run("surgery", "pair", "./static", model)
    assert (result.exit_code, result.stdout) == (0, "static-bert-pair\n"), result.stderr
    assert "of 8 texts are nearest to themselves across the two routes" in result.stderr
    assert f"to measure how well they fit: probe rank {model} ./static-bert-pair" in result.stderr
    again = run("surgery", "pair", "./static", model)
    assert (again.exit_code, "exists" in again.stderr) == (2, True)
    forced = run("surgery", "pair", "./static", model, "--force", "--weights-dtype", "float16")
    assert (forced.exit_code, forced.stdout) == (0, "static-bert-pair\n"), forced.stderr
    assert "weights in float16: " in forced.stderr


@pytest.mark.parametrize("store", ["cold", "warm"])
def test_its_row_is_that_of_its_two_sides_to_the_digit(sides: Path, model: Path, data: Path, store: str) -> None:
    assert run("surgery", "pair", "./static", model, "-o", "pair").exit_code == 0
    usual = ["-d", data, "--metric", "ndcg@10", "--metric", "mrr@10"]
    where = ["--store", "cache"] if store == "warm" else ["--no-store"]
    apart = rows("--queries", "./static", "--documents", model, *usual, *where)
    whole = rows("./pair", model, *usual, *where)
    (both,) = [row for name, row in apart.items() if " > " in name]
    for field in ("scores", "ci95", "dim", "labels", "transductive", "parameters"):
        assert whole["./pair"][field] == both[field], field
    assert whole["./pair"]["transductive"]
    assert whole[f"{model}@3:mean"]["scores"] == apart[f"{model}@3:mean"]["scores"]


def test_a_cut_with_its_lens_searches_the_full_model_s_index(sides: Path, model: Path, data: Path) -> None:
    assert run("surgery", "pair", "./lens", model, "-o", "pair").exit_code == 0
    usual = ["-d", data, "--no-store"]
    apart = rows("--queries", "./lens", "--documents", model, *usual)[f"./lens > {model}@3:mean"]
    whole = rows("./pair", *usual)["./pair"]
    assert whole["scores"]["ndcg@10"] == pytest.approx(apart["scores"]["ndcg@10"], abs=0.02)
    assert whole["transductive"]


def test_routes_are_encoders_of_commands_too(sides: Path, model: Path, data: Path) -> None:
    assert run("surgery", "pair", "./lens", model, "-o", "pair").exit_code == 0
    layers = run("probe", "layers", "./pair@document", "-d", data, "--no-store", "--format", "json")
    assert {row["encoder"] for row in json.loads(layers.stdout)["rows"]} == {
        f"./pair@document.{layer}:mean" for layer in range(4)
    }
    parts = rows("./pair@document.2:mean", "./pair@query", "./pair", "-d", data, "--no-store")
    assert set(parts) == {"./pair@document.2:mean", "./pair@query.2:own", "./pair"}
    for words in ("probe layers", "probe geometry", "surgery inspect"):
        app, command = words.split()
        asked = ["-d", data] if app == "probe" else []
        refused = run(app, command, "./pair", *asked)
        assert (refused.exit_code in (1, 2), "./pair@query" in refused.stderr) == (True, True), refused.stderr
        assert "internal error" not in refused.stderr
    for command in ("cut", "heal", "tune"):
        app, options = {
            "cut": ("surgery", ["--after", 1]),
            "heal": ("adaptors", ["-d", data]),
            "tune": ("adaptors", ["-d", data]),
        }[command]
        refused = run(app, command, "./pair@query", *options, "--out", "other")
        assert refused.exit_code in (1, 2), (command, refused.stdout)
        assert "internal error" not in refused.stderr
    assert not (sides / "other").exists()


def test_unrelated_spaces_are_said(model: Path, tmp_path: Path) -> None:
    static = write_static(tmp_path / "static", model)
    result = run("surgery", "pair", static, model, "-o", tmp_path / "pair")
    assert result.exit_code == 0, result.stderr
    assert "the two look like unrelated spaces" in result.stderr


def test_wrong_calls_write_nothing(model: Path, tmp_path: Path) -> None:
    wide = write_sentence_transformer(write_model(tmp_path / "wide", "bert", hidden_size=64))
    before = os.listdir(tmp_path)
    for sides in ((wide, model), (model, model), (f"{model}@1+{model}", model), (model,), ()):
        result = run("surgery", "pair", *sides, "-o", tmp_path / "out")
        assert (result.exit_code, result.stdout) == (2, ""), result.stderr
        assert "internal error" not in result.stderr
    assert os.listdir(tmp_path) == before
