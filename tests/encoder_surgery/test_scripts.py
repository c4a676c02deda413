"""The console scripts and `python -m encoder_surgery`, as they start beside other people's files."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]

# What an installed script does, for each of them in turn.
CHILD = """
import sys
from importlib.metadata import EntryPoint
for name, place, *arguments in (line.split() for line in sys.stdin):
    EntryPoint(name, place, "console_scripts").load()(arguments, prog_name=name, standalone_mode=False)
"""


@pytest.fixture
def foreign(tmp_path: Path) -> dict[str, str]:
    """Return an environment whose path begins with a project that has a module `cli` and a package `commands`."""
    for file in ("cli.py", "commands/__init__.py"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_text("raise SystemExit('the module of another project')\n")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)]), "COLUMNS": "80"}


def start(*arguments: str, env: dict[str, str], asked: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=env, input=asked)


def test_every_script_works_beside_a_foreign_cli_and_a_foreign_commands(foreign: dict[str, str]) -> None:
    asked = {"probe": "models -f json", "encoder-surgery": "probe models"}
    lines = [f"{name} {place} {asked.get(name, '--help')}" for name, place in SCRIPTS.items()]
    done = start("-c", CHILD, env=foreign, asked="\n".join(lines))
    assert (done.returncode, done.stderr) == (0, "")
    for words in ('"alias": "minilm"', "Usage: surgery", "Usage: adaptors", "offline: available without"):
        assert words in done.stdout


@pytest.mark.parametrize("package", ["probe", "surgery", "adaptors"])
def test_every_package_runs_as_a_module(foreign: dict[str, str], package: str) -> None:
    done = start("-m", package, "--help", env=foreign)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"Usage: {package} [OPTIONS]" in done.stdout


def test_the_package_runs_as_a_module_and_lists_the_three_apps(foreign: dict[str, str]) -> None:
    done = start("-m", "encoder_surgery", "--help", env=foreign)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Usage: encoder-surgery" in done.stdout
    listed = " ".join(done.stdout.replace("│", " ").split())
    for words in ("probe See what every layer", "surgery Change an encoder", "adaptors Train an encoder"):
        assert words in listed
