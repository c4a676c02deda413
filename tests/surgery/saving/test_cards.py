"""Cards: metadata that the hub's library reads, facts that are true of this very folder, lines that run."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from tiny_data import make_dataset
from tiny_tuning import pairs_file, run_command

from probe.models.sources import ModelSource
from surgery.saving.fresh_process import embed_here
from surgery.saving.origin import Origin, add_step, front_matter, inherit, join_origins, read_origin

ROOT = Path(__file__).parents[3]
TAGS = {"sentence-transformers", "feature-extraction", "sentence-similarity", "encoder-surgery"}
CARD = """---
license: cc-by-4.0
license_name: "a: 'name'"
base_model: not/this
---
# A model
"""


@pytest.fixture(scope="module")
def saved(tiny_folder: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return a folder that each command saved, of a model with a license."""
    root = tmp_path_factory.mktemp("cards")
    model = Path(shutil.copytree(tiny_folder("bert"), root / "tiny"))
    (model / "README.md").write_text(CARD)
    data = make_dataset(root / "data")
    commands = {
        "cut": ("surgery", "cut", "-m", model, "--after", 2),
        "keep": ("surgery", "keep", "-m", model, "--blocks", "1,3"),
        "lens": ("surgery", "cut", "-m", model, "--after", 1, "--lens", "-d", data, "--no-store"),
        "fuse": ("surgery", "fuse", f"{model}@1:mean", f"{model}@2:cls"),
        "fit": ("adaptors", "fit", "mlp", "-m", f"{model}@2", "-d", data, "--steps", 2, "--no-store"),
        "tune": ("adaptors", "tune", "-m", root / "lens", "-d", pairs_file(), "--epochs", 1, "--hold-out", 0),
        "heal": ("adaptors", "heal", root / "lens", "-d", data, "--steps", 2, "--no-store"),
        "again": ("surgery", "cut", "-m", root / "tune", "--after", 1),
        "pair": ("surgery", "pair", root / "lens", model),
    }
    with pytest.MonkeyPatch.context() as patch:
        for name in ("check_encoder", "check_saved"):
            patch.setattr(f"surgery.saving.fresh_process.{name}", lambda *_, **__: None)
        patch.setattr("surgery.pairing.folder.embed_in_fresh_process", embed_here)
        for name, (app, *args) in commands.items():
            result = run_command(*args, "--out", root / name, app=str(app))
            assert result.exit_code == 0, result.stderr
    return {name: root / name for name in commands}


NAMES = ("cut", "keep", "lens", "fuse", "fit", "tune", "heal", "again", "pair")


@pytest.mark.parametrize("name", NAMES)
def test_every_card_has_metadata_that_the_hub_reads(name: str, saved: dict[str, Path]) -> None:
    card = ModelCard.load(saved[name] / "README.md")
    assert card.data.library_name == "sentence-transformers"
    assert card.data.pipeline_tag == "sentence-similarity"
    assert set(card.data.tags) >= TAGS
    assert (card.data.license, card.data.license_name) == ("cc-by-4.0", "a: 'name'")
    # A folder is no model of the hub.
    assert card.data.base_model is None
    assert card.text.count("```python") == 1


def test_what_was_trained_is_what_the_card_says(saved: dict[str, Path]) -> None:
    told = {name: (saved[name] / "README.md").read_text() for name in NAMES}
    assert {name for name in NAMES if "Nothing was trained." in told[name]} == {"cut", "keep", "fuse", "again"}
    assert "Its weights were trained earlier on" in told["again"]
    assert {name for name in NAMES if "## Retrieval" in told[name]} == {"lens", "fit"}
    assert {name for name in NAMES if "No score was measured" in told[name]} == {"tune", "heal"}
    for name in ("tune", "heal"):
        assert "Blocks 1 of the 3 blocks of `tiny`." in told[name]
        assert "1. An adaptor (`lens`) was added on top, fitted to the texts of data, without labels." in told[name]
    assert "2. Weights were trained on the rows of pairs.jsonl, with the labels of pairs.jsonl." in told["tune"]
    assert "2. All weights were distilled from the full model's vectors of" in told["heal"]


def test_a_card_of_a_hub_model_names_it_and_one_without_a_license_claims_none(tmp_path: Path) -> None:
    given = inherit(ModelSource("m", tmp_path, "owner/name"))
    assert given == {"base_model": ["owner/name"], "license": {}, "steps": []}
    card = ModelCard(front_matter(Origin(("owner/name",), {}, (), {})))
    assert (card.data.base_model, card.data.license) == ("owner/name", None)
    (tmp_path / "README.md").write_text("---\nlicense: [\n---\n")
    assert inherit(ModelSource("m", tmp_path))["license"] == {}


def test_what_a_folder_of_ours_says_is_inherited(tmp_path: Path) -> None:
    (tmp_path / "surgery.json").write_text('{"base_model": ["owner/name"], "license": {"license": "mit"}}')
    add_step(tmp_path, {"did": "healed"})
    assert inherit(ModelSource("m", tmp_path)) == {
        "base_model": ["owner/name"],
        "license": {"license": "mit"},
        "steps": [{"did": "healed"}],
    }
    assert read_origin(tmp_path / "nowhere") == Origin((), {}, (), {})


def test_members_have_a_license_in_common_or_none_is_claimed() -> None:
    parts = [
        {"base_model": [name], "license": {"license": license}, "steps": []}
        for name, license in (("a/b", "mit"), ("c/d", "mit"), ("a/b", "apache-2.0"))
    ]
    assert join_origins(parts[:2]) == {"base_model": ["a/b", "c/d"], "license": {"license": "mit"}, "steps": []}
    assert join_origins(parts)["license"] == {}


@pytest.mark.parametrize("name", ["heal", "fuse"])
def test_the_lines_of_a_card_run_in_its_folder(name: str, saved: dict[str, Path]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (saved[name] / "README.md").read_text(), re.DOTALL)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=saved[name], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "tensor([[" in done.stdout
