"""`--weights-dtype` of every command that saves a model: half precision in the folder, float32 when it is loaded."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from tiny_data import make_dataset
from tiny_families import write_family
from tiny_models import PROMPTS, WORDS, make_texts, write_sentence_transformer
from typer.testing import CliRunner

import cli
from adaptors.encoders.specs import load_encoder
from probe.models.options import LoadOptions
from surgery.saving.weights import stored_dtypes

pytestmark = pytest.mark.usefixtures("quick_checks")

TEXTS = make_texts(6)
OPTIONS = LoadOptions(dtype="float32", device="cpu")


def run(app: str, *args: object) -> str:
    """Run a command and return what it says on stderr."""
    done = CliRunner().invoke(getattr(cli, f"{app}_app"), [str(arg) for arg in args], prog_name=app)
    assert done.exit_code == 0, done.stderr
    return done.stderr


def check(folder: Path, dtype: str, said: str) -> None:
    """Check that a folder is stored in a dtype and loaded in float32, and that the difference was said."""
    assert set(stored_dtypes(folder.rglob("*.safetensors"))) == {dtype}
    model = SentenceTransformer(str(folder), device="cpu", trust_remote_code=True)
    assert {tensor.dtype for tensor in model.state_dict().values() if tensor.is_floating_point()} == {torch.float32}
    record: dict[str, Any] = json.loads((folder / "surgery.json").read_text())["weights"]
    assert record["dtype"] == dtype
    assert 0.99 < record["min_cosine"] < 1
    assert f"weights in {dtype}: " in said
    assert f"on {record['inputs']} inputs" in said
    opened = load_encoder(str(folder), OPTIONS)
    np.testing.assert_allclose(opened.encode_query(TEXTS), model.encode_query(TEXTS), atol=1e-5)


@pytest.fixture(scope="module")
def bert(tiny_folder: Callable[[str], Path]) -> Path:
    return tiny_folder("bert")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("data") / "tiny")


@pytest.fixture(scope="module")
def lensed(bert: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    out = tmp_path_factory.mktemp("cut") / "lensed"
    options = ["--after", 2, "--lens", "-d", data, "--no-store", "--weights-dtype", "bfloat16"]
    return out, run("surgery", "cut", bert, *options, "--out", out)


def test_a_cut_and_its_lens(lensed: tuple[Path, str]) -> None:
    check(lensed[0], "bfloat16", lensed[1])


def test_keep_and_a_fusion_whose_hookpoints_have_weights(bert: Path, tmp_path: Path) -> None:
    kept, fused = tmp_path / "kept", tmp_path / "fused"
    said = run("surgery", "keep", bert, "--blocks", "1,3", "--weights-dtype", "float16", "--out", kept)
    check(kept, "float16", said)
    specs = [f"{bert}@2:mean", f"{bert}@1:cls", "--weights", "1,3", "--weights-dtype", "float16"]
    check(fused, "float16", run("surgery", "fuse", *specs, "--out", fused))
    assert json.loads((fused / "fused.json").read_text())["weights"] == [1.0, 3.0]


def test_a_trimmed_vocabulary(tmp_path: Path) -> None:
    model = write_sentence_transformer(write_family(tmp_path / "bert", "bert"), prompts=PROMPTS)
    pooling = json.loads((model / "1_Pooling" / "config.json").read_text())
    (model / "1_Pooling" / "config.json").write_text(json.dumps(pooling | {"embedding_dimension": 16}))
    (tmp_path / "texts.txt").write_text(" ".join(WORDS[:12]))
    options = ["--texts", tmp_path / "texts.txt", "--weights-dtype", "float16", "--out", tmp_path / "small"]
    check(tmp_path / "small", "float16", run("surgery", "trim", model, *options))


def test_a_static_cut(bert: Path, data: Path, tmp_path: Path) -> None:
    options = ["--after", 0, "-d", data, "--no-store", "--weights-dtype", "float16", "--out", tmp_path / "static"]
    check(tmp_path / "static", "float16", run("surgery", "cut", bert, *options))


def test_a_network_on_top(bert: Path, data: Path, tmp_path: Path) -> None:
    options = ["-d", data, "--dims", 16, "--steps", 5, "--no-store", "--weights-dtype", "float16"]
    said = run("adaptors", "fit", "mlp", f"{bert}@2", *options, "--out", tmp_path / "mlp")
    check(tmp_path / "mlp", "float16", said)


def test_a_healed_cut_and_the_record_of_the_one_before(lensed: tuple[Path, str], data: Path, tmp_path: Path) -> None:
    training = ["-d", data, "--steps", 3, "--batch-size", 8, "--no-store"]
    said = run("adaptors", "heal", lensed[0], *training, "--weights-dtype", "float16", "--out", tmp_path / "half")
    check(tmp_path / "half", "float16", said)
    assert "Weights in float16: " in (tmp_path / "half" / "README.md").read_text()
    said = run("adaptors", "heal", lensed[0], *training, "--out", tmp_path / "whole")
    assert "weights in" not in said
    assert set(stored_dtypes((tmp_path / "whole").rglob("*.safetensors"))) == {"float32"}
    assert "weights" not in json.loads((tmp_path / "whole" / "surgery.json").read_text())
    assert "Weights in " not in (tmp_path / "whole" / "README.md").read_text()


def test_weights_that_float16_cannot_hold_are_refused_before_the_training(
    lensed: tuple[Path, str], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(lensed[0], tmp_path / "large"))
    tensors = load_file(folder / "model.safetensors")
    tensors["embeddings.LayerNorm.bias"].fill_(1e5)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    monkeypatch.setattr("adaptors.healing.heal.heal", lambda *_, **__: pytest.fail("it was trained"))
    call = ["heal", folder, "-d", data, "--no-store", "--weights-dtype", "float16", "--out", tmp_path / "out"]
    done = CliRunner().invoke(cli.adaptors_app, [str(arg) for arg in call])
    assert done.exit_code == 1
    assert "'embeddings.LayerNorm.bias' has values up to 1e+05" in done.stderr


def test_inspect_says_what_the_files_hold(bert: Path, lensed: tuple[Path, str]) -> None:
    shown = {}
    for model in (bert, lensed[0]):
        done = CliRunner().invoke(cli.surgery_app, ["inspect", str(model), "-f", "json"])
        shown[model] = json.loads(done.stdout)
        assert shown[model]["file_bytes"] == sum(path.stat().st_size for path in model.rglob("*.safetensors"))
    assert (shown[bert]["file_dtypes"], shown[lensed[0]]["file_dtypes"]) == (["float32"], ["bfloat16"])
    table = CliRunner().invoke(cli.surgery_app, ["inspect", str(lensed[0])]).stdout
    assert "MB in bfloat16" in table
