"""`--similarity` in every command that ranks: in its settings, its footer and on the card of what it saves."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_data import make_dataset
from typer.testing import CliRunner, Result

import cli

pytestmark = pytest.mark.usefixtures("quick_checks")


def run(command: str, **values: object) -> Result:
    package, *words = command.format(**values).split()
    return CliRunner().invoke(getattr(cli, f"{package}_app"), words, prog_name=package, env={"COLUMNS": "200"})


RANKING = {
    "probe layers": "probe layers -m {model} -d {data} --layers 2-3 --no-store -f json",
    "probe rank": "probe rank {model} {model}@2 {model}@2+{model}@1 -d {data} --no-store -f json",
    "adaptors rank": "adaptors rank -m {model} -d {data} --kinds pca --dims 8 --no-store -f json",
}


@pytest.mark.parametrize("command", RANKING.values(), ids=RANKING)
def test_a_ranking_is_by_the_similarity_asked_for(
    command: str, tiny_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    values = {"model": tiny_folder("bert"), "data": make_dataset(tmp_path / "tiny")}
    asked, own = run(f"{command} --similarity manhattan", **values), run(command, **values)
    assert asked.exit_code == own.exit_code == 0, asked.stderr
    found, before = json.loads(asked.stdout), json.loads(own.stdout)
    assert found["settings"]["similarity"] == "manhattan, float32"
    assert before["settings"]["similarity"] == "own (cosine), float32"
    assert [row["scores"] for row in found["rows"]] != [row["scores"] for row in before["rows"]]


@pytest.mark.parametrize("command", RANKING.values(), ids=RANKING)
def test_a_similarity_that_is_none_is_refused_before_anything_is_loaded(command: str) -> None:
    result = run(f"{command} --similarity cos", model="./nowhere", data="./nowhere")
    assert result.exit_code == 2
    assert "unknown --similarity 'cos': expected one of own, cosine, dot" in result.stderr


def test_a_card_says_what_its_scores_were_compared_by(tiny_folder: Callable[[str], Path], tmp_path: Path) -> None:
    values = {"model": tiny_folder("bert"), "data": make_dataset(tmp_path / "tiny"), "out": tmp_path / "cut"}
    command = "surgery cut -m {model} --after 2 -d {data} --no-store --out {out}"
    result = run(f"{command} --similarity euclidean", **values)
    assert result.exit_code == 0, result.stderr
    assert "; euclidean, float32;" in (tmp_path / "cut" / "README.md").read_text()
