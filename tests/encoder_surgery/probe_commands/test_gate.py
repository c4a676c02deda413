"""`probe gate`: the exit code in cases of known difference, and whole runs on a tiny model."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_data import make_dataset, write_beir
from tiny_models import WORDS
from typer.testing import CliRunner, Result

import cli
from probe.data.training_record import Learned, write_learned


def run(*args: object) -> Result:
    return CliRunner().invoke(cli.probe_app, ["gate", *map(str, args)], prog_name="probe")


@pytest.fixture(scope="module")
def model(tiny_folder: Callable[[str], Path]) -> str:
    return str(tiny_folder("bert"))


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a data set of 8 queries."""
    return str(make_dataset(tmp_path_factory.mktemp("data") / "few"))


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a data set of 60 queries, each of which repeats its document."""
    texts = {f"d{n}": " ".join(WORDS[4 + int(digit)] for digit in f"{n:03d}") for n in range(60)}
    qrels = {f"q{n}": {f"d{n}": 1} for n in range(60)}
    folder = tmp_path_factory.mktemp("many") / "many"
    return str(write_beir(folder, texts, {f"q{n}": texts[f"d{n}"] for n in range(60)}, qrels))


def test_a_pass_exits_with_0_and_its_json_is_alone_on_stdout(model: str, many: str) -> None:
    result = run(f"copy={model}", "--baseline", model, "-d", many, "--keep", 0.5, "-f", "json")
    assert result.exit_code == 0, result.output
    payload = json.loads(result.stdout)
    assert payload["passed"] is True
    assert payload["rows"][0]["queries"] == 60
    assert payload["rows"][0]["delta"] == 0


def test_a_failure_exits_with_1_after_its_result(model: str, many: str, tmp_path: Path) -> None:
    file = tmp_path / "gate.json"
    result = run(f"{model}@0:cls", "-b", model, "-d", many, "--margin", 0.1, "--save", file)
    assert result.exit_code == 1
    assert "Not passed: " in result.stdout
    assert result.stderr.splitlines()[-1].startswith("error: not passed: many (test): ")
    assert json.loads(file.read_text())["passed"] is False


def test_too_few_queries_exit_with_1(model: str, few: str) -> None:
    result = run(f"copy={model}", "-b", model, "-d", few, "--margin", 0.1)
    assert result.exit_code == 1
    assert "nothing is tested" in " ".join(result.stdout.split())
    assert "are needed" in result.stderr.splitlines()[-1]


def test_a_sample_is_marked(model: str, many: str) -> None:
    result = run(f"copy={model}", "-b", model, "-d", many, "--keep", 0.5, "--limit-queries", 50)
    assert "This was a sample of the data set, not the whole." in " ".join(result.stdout.split())


@pytest.mark.parametrize(("labels", "code"), [("test", 1), ("train", 0)])
def test_a_folder_that_was_trained_on_these_labels_does_not_pass(
    model: str, many: str, tmp_path: Path, labels: str, code: int
) -> None:
    shutil.copytree(model, tmp_path / "tuned")
    write_learned(Learned((labels,), (("many", "0" * 64),)), tmp_path / "tuned")
    result = run(tmp_path / "tuned", "-b", model, "-d", many, "--keep", 0.5, "-f", "json")
    assert result.exit_code == code, result.output
    (row,) = json.loads(result.stdout)["rows"]
    assert (row["labels"], row["transductive"]) == (labels, True)
    assert ("relevance labels of these queries" in (row["reason"] or "")) is bool(code)


def test_asymmetric_search_is_tested_against_its_baseline(model: str, many: str) -> None:
    sides = ("--queries", f"{model}@2:mean", "--documents", f"{model}@3:mean")
    result = run(*sides, "--baseline", f"{model}@3:mean", "-d", many, "--margin", 0.3, "-f", "json")
    payload = json.loads(result.stdout)
    assert result.exit_code == (0 if payload["passed"] else 1)
    assert payload["settings"]["candidate"] == f"{model}@2:mean > {model}@3:mean"
    assert payload["settings"]["baseline"] == f"{model}@3:mean"


def test_every_one_of_several_data_sets_has_to_pass(model: str, many: str, few: str) -> None:
    result = run(f"copy={model}", "-b", model, "-d", many, "-d", few, "--keep", 0.5, "-f", "json")
    payload = json.loads(result.stdout)
    assert result.exit_code == 1
    assert [row["outcome"] for row in payload["rows"]] == ["passed", "not tested"]
    assert result.stderr.splitlines()[-1].startswith("error: not passed: few (test): ")


def test_a_data_set_that_is_left_out_is_no_pass(model: str, many: str) -> None:
    result = run(f"copy={model}", "-b", model, "-d", many, "-d", "no-such-set", "--keep", 0.5, "--keep-going")
    assert result.exit_code == 1
    assert "no-such-set: not tested" in result.stderr


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (
            ["-b", "minilm"],
            "no candidate is given: expected a spec such as minilm@6:mean, or --queries and --",
        ),
        (["a", "-b", "b", "--queries", "c"], "--queries and --documents must be given together, and without another"),
        (["-b", "b", "--documents", "c"], "--queries and --documents must be given together"),
        (["a", "-b", "b", "--margin", "2"], "--margin 2: expected a difference above 0 and below 1, such as 0.01"),
        (["a", "-b", "b", "--keep", "98"], "--keep 98: expected a share above 0 and below 1, such as 0.98"),
        (["a", "-b", "b", "--keep", "0.9", "--margin", "0.1"], "--margin and --keep are two ways to say it: give one"),
        (["a", "-b", "b", "--alpha", "0.5"], "--alpha 0.5 is out of range: expected at least 0.001, at most 0.2"),
        (["a", "-b", "b", "--metric", "ndgc@10"], "unknown metric 'ndgc@10'"),
        (["a", "-b", "b", "--columns", "encoder"], "unknown column 'encoder': expected some of dataset, queries"),
    ],
)
def test_a_wrong_call_exits_with_2_before_anything_is_loaded(args: list[str], words: str) -> None:
    result = run(*args)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.splitlines()[-1].startswith(f"error: {words}")


def test_the_same_encoder_is_a_wrong_call(model: str, many: str) -> None:
    result = run(model, "-b", f"{model}@last", "-d", many)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "candidate and baseline are the same encoder" in result.stderr


def test_without_a_baseline_the_call_is_wrong() -> None:
    result = run("minilm@5")
    assert result.exit_code == 2
    assert "--baseline" in result.stderr
