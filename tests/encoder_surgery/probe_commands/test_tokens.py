"""Who cannot take tokens says so in a line; `probe rank` and `probe layers` take them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from tiny_data import make_dataset, write_lines
from typer.testing import CliRunner

import cli


def run(program: str, *words: object) -> Result:
    return CliRunner().invoke(getattr(cli, f"{program}_app"), [str(word) for word in words])


@pytest.fixture
def places(tiny_folder: Callable[[str], Path], tmp_path: Path) -> dict[str, str]:
    texts = write_lines(tmp_path / "t.csv", ["text,label", *(f"{i} acid air,{i % 2}" for i in range(12))])
    pairs = write_lines(tmp_path / "p.csv", ["sentence1,sentence2,score", "acid,air,1", "acid,ice,2", "ice,fire,3"])
    data = make_dataset(tmp_path / "data")
    names = {"m": tiny_folder("bert"), "d": data, "texts": texts, "pairs": pairs, "out": tmp_path / "out"}
    return {name: str(path) for name, path in names.items()}


REFUSED = {
    "geometry": "probe geometry -m {m} -d {d} --pooling tokens",
    "classify": "probe classify -m {m} -d {texts} --pooling tokens",
    "similarity": "probe similarity -m {m} -d {pairs} --pooling tokens",
    "plan": "probe plan -m {m} --texts 1000 --tflops 1 --pooling tokens",
    "a fusion": "probe rank {m}@3:mean {m}@3:tokens+{m}@3:mean -d {d}",
    "two sides": "probe rank --queries {m}@3:tokens --documents {m}@3:mean -d {d}",
    "a lens": "probe layers -m {m} -d {d} --pooling own,tokens --lens",
    "a recommendation": "probe layers -m {m} -d {d} --pooling tokens --recommend 0.1",
    "a fit": "adaptors fit pca -m {m}@3:tokens -d {d} --out {out}",
    "a ladder": "adaptors rank -m {m}@3:tokens -d {d}",
    "a cut": "surgery cut -m {m} --after 2 --pooling tokens --out {out}",
    "a kept set": "surgery keep -m {m} --blocks 1,2 --pooling tokens --out {out}",
    "a fused model": "surgery fuse {m}@3:tokens {m}@2:mean --out {out}",
}


@pytest.mark.parametrize("call", REFUSED.values(), ids=REFUSED)
def test_tokens_are_refused_in_a_line_where_one_vector_per_text_is_needed(call: str, places: dict[str, str]) -> None:
    program, *words = call.format(**places).split()
    result = run(program, *words)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    lines = [line for line in result.stderr.splitlines() if line.startswith("error")]
    assert len(lines) == 1
    assert "token" in lines[0]
    assert "internal error" not in result.stderr
    assert not Path(places["out"]).exists()


def test_rank_and_layers_take_tokens(places: dict[str, str]) -> None:
    model, data = places["m"], places["d"]
    for words in (["rank", f"{model}@3", f"{model}:tokens"], ["layers", "-m", model, "--pooling", "own,tokens"]):
        result = run("probe", *words, "-d", data, "--no-store", "-f", "json")
        assert result.exit_code == 0, result.stderr
        board = json.loads(result.stdout)
        row = next(row for row in board["rows"] if row["encoder"] == f"{model}@3:tokens")
        assert (row["pooling"], row["collapsed"], row["labels"]) == ("tokens", False, "none")
        assert row["delta"] is not None
        assert "MaxSim" in board["settings"]["late_interaction"]


def test_an_unknown_pooling_names_those_there_are(places: dict[str, str]) -> None:
    result = run("probe", "layers", "-m", places["m"], "-d", places["d"], "--pooling", "median")
    assert (result.exit_code, "max, mean, tokens (or own)" in result.stderr) == (2, True)
