"""`adaptors fit map` and maps in `adaptors rank`: what is said, saved and refused."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_data import make_dataset
from typer.testing import CliRunner, Result

import cli

pytestmark = pytest.mark.usefixtures("quick_checks")


def run(*args: object, app: str = "adaptors") -> Result:
    return CliRunner().invoke(getattr(cli, f"{app}_app"), [str(arg) for arg in args], prog_name=app)


@pytest.fixture(scope="module")
def bert(tiny_folder: Callable[[str], Path]) -> Path:
    return tiny_folder("bert")


@pytest.fixture(scope="module")
def mpnet(tiny_folder: Callable[[str], Path]) -> Path:
    return tiny_folder("mpnet")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("data") / "tiny", documents=80)


@pytest.mark.parametrize("side", ["queries", "documents"])
def test_a_map_is_fitted_said_and_saved(bert: Path, mpnet: Path, data: Path, tmp_path: Path, side: str) -> None:
    out = tmp_path / "map"
    made = run("fit", "map", "--from", bert, "--to", mpnet, "-d", data, "--map", side, "--no-store", "-o", out)
    assert made.exit_code == 0, made.stderr
    assert made.stdout.strip() == str(out)
    pair = f"{bert}@3:mean > {mpnet}@3:mean" if side == "queries" else f"{mpnet}@3:mean > {bert}@3:mean"
    assert f"{pair}, map to 32 dimensions: ndcg@10 " in made.stderr
    assert f"The map {pair} keeps " in made.stderr
    assert "maps without labels, by agreement with the joint ranking of both models" in made.stderr
    other = "documents" if side == "queries" else "queries"
    assert f"probe rank --{side} {out} --{other} {mpnet}" in made.stderr
    ranked = run("rank", f"--{side}", out, f"--{other}", mpnet, "-d", data, "--no-store", app="probe")
    assert ranked.exit_code == 0, ranked.stderr


def test_maps_are_a_kind_beside_others(bert: Path, mpnet: Path, data: Path) -> None:
    given = ("rank", f"{bert}@2,3:mean", "--to", mpnet, "-d", data, "--no-store", "--format", "json")
    done = run(*given, "--kinds", "pca,map", "--dims", "8")
    assert done.exit_code == 0, done.stderr
    rows = json.loads(done.stdout)["rows"]
    assert {(row["encoder"].removeprefix(str(bert)), row["adaptor"]) for row in rows} == {
        ("@2:mean", None),
        ("@3:mean", None),
        ("@2:mean", "pca"),
        ("@3:mean", "pca"),
        (f"{mpnet}@3:mean", None),
        (f"@2:mean > {mpnet}@3:mean", "map"),
        (f"@3:mean > {mpnet}@3:mean", "map"),
    }
    assert all((row["retention"] is None) == (row["adaptor"] != "map") for row in rows)
    verdict = json.loads(done.stdout)["verdict"]
    assert verdict.startswith("The best map ")
    assert "Best at 8 dimensions: pca" in verdict


def test_maps_alone_have_no_other_kind_beside_them(bert: Path, mpnet: Path, data: Path) -> None:
    given = ("rank", bert, "--to", mpnet, "--kinds", "map", "-d", data, "--no-store", "--format", "markdown")
    done = run(*given)
    assert done.exit_code == 0, done.stderr
    assert "of from, to" in done.stdout
    assert "pca" not in done.stdout


def test_the_documents_of_a_map_have_the_sizes_too(bert: Path, mpnet: Path, data: Path) -> None:
    given = ("rank", bert, "--to", mpnet, "--kinds", "map", "-d", data, "--no-store", "--format", "json")
    done = run(*given, "--bits", "32,8,1", "--bytes", "8", "--rescore", "4")
    assert done.exit_code == 0, done.stderr
    rows = [row for row in json.loads(done.stdout)["rows"] if row["adaptor"] == "map"]
    width = 32
    stored = {(row["bytes"], row["query_bits"], row["rescore"]) for row in rows}
    floats = {(size, 32, factor) for size in (width, width // 8, 8) for factor in (None, 4)}
    assert stored == {(4 * width, 32, None), (width // 8, 1, None), *floats}
    scores = {row["bytes"]: row["scores"]["ndcg@10"] for row in rows if row["rescore"] is None}
    assert scores[width] == pytest.approx(scores[4 * width], abs=0.05)
    without = json.loads(run(*given, "--bits", "8").stdout)["rows"]
    assert [row["bytes"] for row in without if row["adaptor"] == "map"] == [width]


def test_over_several_data_sets_maps_are_fitted_on_each_or_once(
    bert: Path, mpnet: Path, data: Path, tmp_path: Path
) -> None:
    more = make_dataset(tmp_path / "more", documents=60, seed=9)
    given = ("rank", bert, "--to", mpnet, "--kinds", "map", "-d", data, "-d", more, "--no-store", "--format", "json")
    for fit_on in ((), ("--fit-on", more)):
        done = run(*given, *fit_on)
        assert done.exit_code == 0, done.stderr
        (row,) = [row for row in json.loads(done.stdout)["rows"] if row["adaptor"] == "map"]
        assert [one["p_value"] is not None for one in row["retention"]] == [True, True]
        assert row["datasets"]["tiny"]["transductive"] == (not fit_on)


WRONG = {
    "a map to nothing": (["fit", "map", "minilm"], "a map needs the encoder to map to"),
    "a kind to nothing": (["rank", "minilm", "--kinds", "map"], "a map needs the encoder to map to"),
    "a map with dimensions": (["fit", "map", "minilm", "--to", "x", "--dims", "8"], "--dims does nothing with a map"),
    "a map with steps": (["fit", "map", "minilm", "--to", "x", "--steps", "8"], "--steps does nothing with a map"),
    "another kind with a target": (["fit", "pca", "minilm", "--to", "x"], "--to does nothing with pca"),
    "a ladder without a map": (["rank", "--kinds", "pca", "--to", "x"], "--to does nothing with pca"),
    "maps of some dimensions": (
        ["rank", "--kinds", "map", "--to", "x", "--dims", "8"],
        "--dims does nothing with maps alone",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_call_says_what_to_do(name: str) -> None:
    args, words = WRONG[name]
    result = run(*args, "-d", "docstrings", "--no-store")
    assert (result.exit_code, words in result.stderr) == (2, True), result.stderr
