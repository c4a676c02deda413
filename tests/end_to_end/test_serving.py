"""The parts of serving together: a pair of encoders, its documents in few bytes, and the gate before it is shipped."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_data import make_dataset
from tiny_routers import write_static
from typer.testing import CliRunner

import surgery
from encoder_surgery.probe_commands.app import probe_app


@pytest.fixture
def pair(tiny_folder: Callable[[str], Path], tmp_path: Path, quick_checks: None) -> tuple[str, str]:
    """Return the folder of a pair of a static query encoder and a model, and that of the model."""
    model = tiny_folder("bert")
    static = write_static(tmp_path / "static", model, prompts={"query": "gold ", "document": "salt "})
    surgery.save(surgery.pair(str(static), str(model)), tmp_path / "pair")
    return str(tmp_path / "pair"), str(model)


def test_documents_of_a_pair_are_stored_in_few_bytes(pair: tuple[str, str], tmp_path: Path) -> None:
    folder, model = pair
    data = str(make_dataset(tmp_path / "data"))
    found = CliRunner().invoke(
        probe_app, ["rank", folder, model, "-d", data, "--bits", "8", "--no-store", "--format", "json"]
    )
    assert found.exit_code == 0, found.output
    rows = json.loads(found.stdout)["rows"]
    assert {(row["bits"], row["bytes"]) for row in rows} == {(32, 128), (8, 32)}
    assert len({row["encoder"] for row in rows}) == 2


def test_a_pair_has_to_pass_the_gate_like_any_encoder(pair: tuple[str, str], tmp_path: Path) -> None:
    folder, model = pair
    data = str(make_dataset(tmp_path / "data"))
    found = CliRunner().invoke(probe_app, ["gate", folder, "--baseline", model, "-d", data, "--no-store"])
    # Eight queries cannot show anything.
    assert found.exit_code == 1
    assert "not tested" in " ".join(found.output.split())
