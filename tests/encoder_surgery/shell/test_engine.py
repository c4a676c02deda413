"""What --engine and its options refuse, and that nobody else needs Ray."""

import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from fresh_forks import FreshForks
from tiny_data import make_dataset
from typer.testing import CliRunner, Result

import cli

RAY = ["--engine", "ray"]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli.probe_app, ["layers", *arguments], env={"COLUMNS": "300"})


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--engine", "foo"], "unknown --engine 'foo': expected one of local, ray"),
        (["--address", "auto"], "--address auto is for a Ray cluster: add --engine ray"),
        (["--workers", "2"], "--workers 2 is for a Ray cluster"),
        (["--gpus-per-worker", "0"], "--gpus-per-worker 0.0 is for a Ray cluster"),
        ([*RAY, "--workers", "0"], "--workers 0 is out of range: expected at least 1"),
        ([*RAY, "--gpus-per-worker", "-1"], "--gpus-per-worker -1: expected 0, a fraction of a GPU"),
        ([*RAY, "--gpus-per-worker", "1.5"], "--gpus-per-worker 1.5: expected 0, a fraction"),
        ([*RAY, "--gpus-per-worker", "nan"], "--gpus-per-worker nan is out of range: expected a finite number"),
        ([*RAY, "--address", "somewhere"], "--address 'somewhere': expected HOST:PORT"),
        ([*RAY, "--address", "ray://127.0.0.1:10001"], "expected HOST:PORT"),
    ],
)
def test_a_wrong_value_is_one_line_before_any_work(arguments: list[str], words: str) -> None:
    pytest.importorskip("ray.data", reason="the extra ray is not installed")
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert words in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["layers", "--pooling", "mean,tokens"],
        ["rank", "minilm:mean", "minilm@5:tokens"],
        ["rank", "minilm:mean", "minilm@5:tokens+minilm:mean", "--fuse-runs", "rrf"],
    ],
)
def test_tokens_are_refused_before_any_work(arguments: list[str]) -> None:
    result = CliRunner().invoke(cli.probe_app, [*arguments, *RAY], env={"COLUMNS": "300"})
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--engine ray does not support token vectors" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_wrong_data_set_is_told_before_a_cluster_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray.data", reason="the extra ray is not installed")
    monkeypatch.setattr("probe.scale.cluster.connected", lambda *_: pytest.fail("a cluster was started"))
    for command in (["layers"], ["rank", "minilm"]):
        result = CliRunner().invoke(cli.probe_app, [*command, "-d", "scifct", *RAY], env={"COLUMNS": "300"})
        assert result.exit_code == 2
        assert "unknown data set 'scifct'" in result.stderr


def test_the_same_options_are_checked_by_rank() -> None:
    result = CliRunner().invoke(cli.probe_app, ["rank", "minilm", "--workers", "2"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--workers 2 is for a Ray cluster" in result.stderr


def test_an_address_where_nothing_listens_is_one_line() -> None:
    pytest.importorskip("ray.data", reason="the extra ray is not installed")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    result = run(*RAY, "--address", f"127.0.0.1:{port}")
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"no Ray cluster at '127.0.0.1:{port}'" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_without_the_extra_the_engine_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setitem(sys.modules, "ray.data", None)
    result = run(*RAY)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("error: --engine ray needs Ray: pip install 'encoder-surgery[ray]'")
    assert len(result.stderr.splitlines()) == 1


LIGHT = """
import importlib, pkgutil, sys
import adaptors, cli, encoder_surgery, probe, surgery
for package in (probe, surgery, adaptors, encoder_surgery):
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        importlib.import_module(module.name)
model, data = sys.argv[1:]
cli.probe_app(["layers", "-m", model, "-d", data, "--no-store", "--format", "csv"], standalone_mode=False)
print("ray" in sys.modules)
"""


def test_neither_imports_nor_a_local_command_load_ray(
    tiny_folder: Callable[[str], Path], tmp_path: Path, fresh_forks: FreshForks
) -> None:
    pytest.importorskip("ray.data", reason="the extra ray is not installed")
    data = make_dataset(tmp_path / "data")
    command = [sys.executable, "-c", LIGHT, str(tiny_folder("bert")), str(data)]
    done = fresh_forks.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines()[-1] == "False"
