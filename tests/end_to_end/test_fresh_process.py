"""What only a fresh process can show, gathered by one child: the built wheel, its start, the same table again."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_data import make_dataset

from probe.data.docstrings import read_docstrings
from probe.data.loading import load_dataset
from probe.encoding.opening import open_reader
from probe.experiments.layers import rank_layers
from probe.experiments.options import RunOptions
from probe.models.options import LoadOptions
from probe.store.store import Store

ROOT = Path(__file__).parents[2]
PACKAGES = ("probe", "surgery", "adaptors", "encoder_surgery")
OPTIONS = LoadOptions(dtype="float32", device="cpu")

CHILD = """
import json, sys
import cli
help_imports = [name for name in ("torch", "transformers", "sentence_transformers", "numpy") if name in sys.modules]
import contextlib, io
model, data, store = sys.argv[1:]
with contextlib.redirect_stdout(io.StringIO()) as warm:
    cli.probe_app(
        ["layers", "-m", model, "-d", data, "--pooling", "own,cls", "--dtype", "float32", "--device", "cpu",
         "--store", store, "-f", "json"], standalone_mode=False)
warm_imports = [name for name in ("transformers", "sentence_transformers", "sklearn", "scipy") if name in sys.modules]
import probe
from probe.data.loading import load_dataset
from probe.data.docstrings import read_docstrings
from probe.models.loading import load_model
from probe.models.options import LoadOptions
from probe.experiments.layers import rank_layers
from probe.encoding.reader import LayerReader
reader = LayerReader(load_model(model, LoadOptions(dtype="float32", device="cpu")))
board = rank_layers(reader, load_dataset(data), poolings=("own", "cls"))
print(json.dumps({
    "home": probe.__file__,
    "help_imports": help_imports,
    "warm_imports": warm_imports,
    "warm": json.loads(warm.getvalue()),
    "docstrings": read_docstrings().text_hash,
    "settings": board.settings,
    "rows": board.to_dict()["rows"],
}))
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Callable[[str], Path]) -> tuple[str, str]:
    return str(tiny_folder("modernbert")), str(make_dataset(tmp_path_factory.mktemp("data") / "tiny"))


@pytest.fixture(scope="module")
def board(files: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    """The leaderboard as plain values, made in this process, and the store it filled."""
    model, data = files
    folder = tmp_path_factory.mktemp("store")
    store = Store(folder)
    reader = open_reader(model, OPTIONS, store)
    ranked = rank_layers(reader, load_dataset(data), poolings=("own", "cls"), options=RunOptions(store=store))
    return json.loads(ranked.to_json()), str(folder)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the tree and installed to a folder of its own."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("installed")
    tracked = ["pyproject.toml", "README.md", "LICENSE", "cli.py", *PACKAGES]
    subprocess.run(["cp", "-r", *[str(ROOT / name) for name in tracked], str(source)], check=True)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--target", str(target)]
    subprocess.run([*pip, "install", *options, str(source)], check=True)
    return target


@pytest.fixture(scope="module")
def child(
    installed: Path,
    files: tuple[str, str],
    board: tuple[dict[str, Any], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Any]:
    environment = {**os.environ, "PYTHONPATH": str(installed), "PYTHONHASHSEED": "12345", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", CHILD, *files, board[1]],
        env=environment,
        cwd=tmp_path_factory.mktemp("elsewhere"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_the_wheel_holds_all_it_needs(child: dict[str, Any], installed: Path) -> None:
    assert Path(child["home"]).is_relative_to(installed)
    for script in ("probe", "surgery", "adaptors", "encoder-surgery"):
        assert (installed / "bin" / script).exists()
    tracked = subprocess.run(["git", "ls-files", *PACKAGES], cwd=ROOT, capture_output=True, text=True, check=True)
    assert [file for file in tracked.stdout.splitlines() if not (installed / file).is_file()] == []


def test_the_command_line_starts_without_heavy_imports(child: dict[str, Any]) -> None:
    assert child["help_imports"] == []


def test_a_warm_run_needs_neither_the_model_nor_its_libraries(child: dict[str, Any]) -> None:
    assert child["warm_imports"] == []


def test_another_process_gives_the_same_table_cold_and_warm(
    child: dict[str, Any], board: tuple[dict[str, Any], str]
) -> None:
    here = board[0]
    assert child["warm"]["settings"] == here["settings"]
    for row in [*here["rows"], *child["warm"]["rows"], *child["rows"]]:
        for name in ("ms_per_text", "fit_seconds"):
            row.pop(name)
    assert here["rows"] == child["warm"]["rows"] == child["rows"]
    assert here["settings"]["dataset"] == child["settings"]["dataset"]


def test_another_process_reads_the_same_docstrings(child: dict[str, Any]) -> None:
    assert read_docstrings().text_hash == child["docstrings"]
