"""What is saved from Python is checked as what the command saves: a cut gives the vectors that it gave in memory."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_models import write_json

import surgery
from probe.errors import ModelError
from probe.models.loaded import LoadedModel
from probe.models.loading import load_model
from probe.models.options import LoadOptions
from surgery.saving import model as saving


def test_a_folder_that_gives_other_vectors_is_not_kept(
    load_tiny: Callable[[str], LoadedModel], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = saving.write_modules

    def swap(folder: Path, names: list[str]) -> list[Path]:
        """Write a config whose activation is none of the model's."""
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        write_json(folder / "config.json", config | {"hidden_act": "relu"})
        return real(folder, names)

    monkeypatch.setattr(saving, "write_modules", swap)
    with pytest.raises(ModelError, match="vectors differ"):
        surgery.save(surgery.cut(load_tiny("bert"), 2), tmp_path / "cut")
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_computes_in_half_precision_is_saved(tiny_folder: Callable[[str], Path], tmp_path: Path) -> None:
    model = load_model(str(tiny_folder("bert")), LoadOptions(dtype="bfloat16", device="cpu"))
    assert surgery.save(surgery.cut(model, 2), tmp_path / "cut").is_dir()
