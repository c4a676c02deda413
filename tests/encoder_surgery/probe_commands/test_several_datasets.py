"""Several data sets in one command: the joint table, its cells, its order, and what goes wrong with one of them."""

import csv
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_data import make_dataset, write_beir
from typer.testing import CliRunner, Result

import cli
from probe.encoding import opening
from probe.encoding.reader import LayerReader

WORDS = ["the quick brown fox", "a lazy dog sleeps", "the old tree falls", "it runs until night", "the wide forest"]


def run(*args: object, app: Any = cli.probe_app) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args], prog_name="probe")


@pytest.fixture(scope="module")
def model(tiny_folder: Callable[[str], Path]) -> str:
    return str(tiny_folder("bert"))


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("sets")
    texts = {f"d{number}": text for number, text in enumerate(WORDS)}
    queries = {f"q{number}": text.split()[-1] for number, text in enumerate(WORDS)}
    qrels = {f"q{number}": {f"d{number}": 1} for number in range(len(WORDS))}
    small = write_beir(folder / "small", texts, queries, qrels)
    other = write_beir(
        folder / "other",
        dict(list(texts.items())[:3]),
        dict(list(queries.items())[:3]),
        {query: found for query, found in list(qrels.items())[:3]},
    )
    return [str(make_dataset(folder / "tiny")), str(small), str(other)]


def flags(sets: list[str]) -> list[str]:
    return [part for name in sets for part in ("-d", name)]


def rows_of(result: Result) -> dict[str, dict[str, Any]]:
    assert result.exit_code == 0, result.output
    return {row["encoder"]: row for row in json.loads(result.stdout)["rows"]}


def test_every_cell_is_that_of_the_data_set_alone_and_the_mean_is_theirs(model: str, sets: list[str]) -> None:
    joint = rows_of(run("layers", model, *flags(sets), "-f", "json"))
    alone = {Path(name).name: rows_of(run("layers", model, "-d", name, "-f", "json")) for name in sets}
    for encoder, row in joint.items():
        assert list(row["datasets"]) == list(alone)
        for name, rows in alone.items():
            same = {key: value for key, value in row["datasets"][name].items() if key not in ("ms_per_text", "note")}
            assert same == {key: rows[encoder][key] for key in same}
        scores = [rows[encoder]["scores"]["ndcg@10"] for rows in alone.values()]
        assert row["scores"]["ndcg@10"] == pytest.approx(sum(scores) / len(scores), abs=1e-12)


def test_rows_are_ordered_by_the_mean_or_by_one_data_set(model: str, sets: list[str]) -> None:
    for sort, score in {
        "mean": lambda row: row["scores"]["ndcg@10"],
        "small": lambda row: row["datasets"]["small"]["scores"]["ndcg@10"],
    }.items():
        rows = list(rows_of(run("layers", model, *flags(sets), "-f", "json", "--sort", sort)).values())
        assert [score(row) for row in rows] == sorted(map(score, rows), reverse=True)
        assert [row["rank"] for row in rows] == [1, 2, 3, 4]


@pytest.mark.parametrize("width", [80, 110, 160])
def test_a_table_has_the_mean_and_every_data_set_at_any_width(
    model: str, sets: list[str], width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    result = run("rank", f"m={model}", f"m={model}@1:mean", *flags(sets))
    assert result.exit_code == 0, result.output
    header = next(line for line in result.stdout.splitlines() if "encoder" in line)
    assert all(name in result.stdout for name in ("mean", "tiny", "small", "other"))
    assert len(header) <= width


def test_many_data_sets_go_on_in_further_tables(model: str, sets: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    lines = run("rank", f"m={model}", f"m={model}@1:mean", *flags(sets)).stdout.splitlines()
    headers = [line.split() for line in lines if "encoder" in line]
    assert len(headers) > 1
    assert {"tiny", "small", "other"} <= {word for header in headers for word in header}


def test_csv_and_markdown_have_a_column_per_data_set(model: str, sets: list[str]) -> None:
    rows = list(csv.DictReader(io.StringIO(run("layers", model, *flags(sets), "-f", "csv").stdout)))
    assert {"small ndcg@10", "small delta", "small p_value", "small ci95_low"} <= set(rows[0])
    table = run("layers", model, *flags(sets), "-f", "markdown", "--columns", "encoder,dim,params,small,tiny").stdout
    assert [part.strip() for part in table.splitlines()[0].strip("|").split("|")] == [
        *("encoder", "dim", "params", "small", "tiny")
    ]


def test_a_wrong_name_among_several_is_found_before_any_text_is_encoded(
    model: str, sets: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LayerReader, "prepare", lambda *args, **named: pytest.fail("a text was encoded"))
    result = run("layers", model, "-d", sets[0], "-d", "scifcat")
    assert (result.exit_code, "did you mean scifact" in result.stderr) == (2, True)


def test_a_set_that_fails_is_left_out_on_request_with_exit_code_1(model: str, sets: list[str]) -> None:
    result = run("layers", model, "-d", "scifcat", *flags(sets[:2]), "--keep-going", "-f", "json")
    assert result.exit_code == 1
    board = json.loads(result.stdout)
    assert board["datasets"] == ["tiny", "small"]
    assert "scifcat" in board["settings"]["failed"]
    assert "left out" in result.stderr


def test_a_set_that_fails_later_is_left_out_on_request(
    model: str, sets: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (Path(sets[2]) / "corpus.jsonl").rename(Path(sets[2]) / "corpus.kept")
    try:
        result = run("layers", model, *flags(sets), "--keep-going", "-f", "json")
    finally:
        (Path(sets[2]) / "corpus.kept").rename(Path(sets[2]) / "corpus.jsonl")
    assert (result.exit_code, json.loads(result.stdout)["datasets"]) == (1, ["tiny", "small"])


def test_the_same_data_set_twice_is_refused(model: str, sets: list[str], tmp_path: Path) -> None:
    twice = run("layers", model, "-d", sets[0], "-d", sets[0] + "/")
    assert (twice.exit_code, "given twice" in twice.stderr) == (2, True)
    copy = tmp_path / "copy"
    copy.symlink_to(sets[0])
    linked = run("layers", model, "-d", sets[0], "-d", copy)
    assert (linked.exit_code, "given twice" in linked.stderr) == (2, True)
    moved = tmp_path / "moved"
    shutil.copytree(sets[0], moved)
    copied = run("layers", model, "-d", sets[0], "-d", moved)
    assert (copied.exit_code, "have the same texts and relevance labels" in copied.stderr) == (2, True)


def test_two_data_sets_of_one_name_are_told_apart_by_their_folders(model: str, sets: list[str], tmp_path: Path) -> None:
    for folder, source in (("a", sets[0]), ("b", sets[1])):
        shutil.copytree(source, tmp_path / folder / "data")
    result = run("layers", model, "-d", tmp_path / "a" / "data", "-d", tmp_path / "b" / "data", "-f", "json")
    assert json.loads(result.stdout)["datasets"] == ["a/data", "b/data"]


def test_a_model_is_loaded_once_for_all_data_sets(model: str, sets: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    loads = []
    real = opening.load_files

    def load(*args: Any, **named: Any) -> Any:
        loads.append(args)
        return real(*args, **named)

    monkeypatch.setattr(opening, "load_files", load)
    for words in (["layers", model], ["rank", model, f"{model}@1:mean"]):
        loads.clear()
        assert run(*words, *flags(sets), "--no-store", "-f", "json").exit_code == 0
        assert len(loads) == 1, words


def test_a_split_is_for_all_or_for_one(model: str, sets: list[str]) -> None:
    missing = run("layers", model, *flags(sets[:2]), "--split", "small=dev")
    assert (missing.exit_code, "small" in missing.stderr) == (2, True)
    unknown = run("layers", model, *flags(sets[:2]), "--split", "smal=test")
    assert (unknown.exit_code, "did you mean small" in unknown.stderr) == (2, True)
    fine = run("layers", model, *flags(sets[:2]), "--split", "small=test", "-f", "json")
    assert fine.exit_code == 0


def test_an_unknown_order_is_refused_before_any_text_is_encoded(
    model: str, sets: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LayerReader, "prepare", lambda *args, **named: pytest.fail("a text was encoded"))
    result = run("layers", model, *flags(sets[:2]), "--sort", "smal")
    assert (result.exit_code, "did you mean small" in result.stderr) == (2, True)


def test_several_metrics_are_columns_of_one_table(model: str, sets: list[str]) -> None:
    metrics = ["--metric", "mrr@10", "--metric", "recall@5", "--metric", "ndcg@3"]
    board = json.loads(run("layers", model, "-d", sets[0], *metrics, "-f", "json").stdout)
    assert list(board["rows"][0]["scores"]) == ["mrr@10", "recall@5", "ndcg@3"]
    assert board["settings"]["metric"] == "mrr@10"


def test_geometry_has_the_mean_and_every_data_set(model: str, sets: list[str]) -> None:
    joint = json.loads(run("geometry", model, *flags(sets[:2]), "-f", "json").stdout)
    alone = [json.loads(run("geometry", model, "-d", name, "-f", "json").stdout) for name in sets[:2]]
    for number, row in enumerate(joint["rows"]):
        values = [one["rows"][number]["mean_cosine"] for one in alone]
        assert [found["mean_cosine"] for found in row["datasets"].values()] == values
        assert row["mean_cosine"] == pytest.approx(sum(values) / 2)


def test_two_data_sets_say_nothing_of_others(model: str, sets: list[str]) -> None:
    two = run("layers", model, *flags(sets[:2]), "-f", "json")
    board = json.loads(two.stdout)
    assert all(row["population_ci95"] is None for row in board["rows"])
    assert "in general" not in board["verdict"]
    assert "say nothing of others" in board["settings"]["statistics"]["population"]
    three = json.loads(run("layers", model, *flags(sets), "-f", "json").stdout)
    assert all(row["population_ci95"] for row in three["rows"] if row["delta"] is not None)
