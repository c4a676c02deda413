"""Adaptors on a model with a head of its own: they see what the head gives, and the saved folder computes it all."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from sentence_transformers import SentenceTransformer
from tiny_data import make_dataset
from tiny_models import PROMPTS, WIDTH, change_json, make_texts, write_json, write_model, write_sentence_transformer
from typer.testing import CliRunner

import cli
from adaptors import load_encoder
from probe.models.options import LoadOptions

pytestmark = pytest.mark.usefixtures("quick_checks")

DIM = 12
TANH = "torch.nn.modules.activation.Tanh"


@pytest.fixture(scope="module")
def headed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a dot model whose vectors a Dense with an activation makes of the mean."""
    folder = write_model(tmp_path_factory.mktemp("headed") / "headed", "bert")
    write_sentence_transformer(folder, "mean", PROMPTS, extra_modules=["Dense"])
    dense = {"in_features": WIDTH, "out_features": DIM, "bias": True, "activation_function": TANH}
    write_json(folder / "2_Dense" / "config.json", dense)
    dice = torch.Generator().manual_seed(1)
    weights = {"linear.weight": torch.randn(DIM, WIDTH, generator=dice), "linear.bias": torch.zeros(DIM)}
    save_file(weights, folder / "2_Dense" / "model.safetensors")
    change_json(folder / "config_sentence_transformers.json", similarity_fn_name="dot")
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("data") / "tiny")


FITS: dict[str, tuple[str, str, list[str]]] = {
    # Without a bias, the map needs no vectors of length 1.
    "pca on the model": ("pca", "", ["Pooling", "Dense", "Dense", "Normalize"]),
    "a lens of a cut": ("lens", "@1", ["Pooling", "Dense", "Normalize", "Dense", "Normalize"]),
    "a lens of bare states": ("lens", "@1:max", ["Pooling", "Normalize", "Dense", "Normalize"]),
    "a network": ("autoencoder", "@2", ["Pooling", "Dense", "Normalize", "AdaptorModule", "Normalize"]),
}


@pytest.mark.parametrize(("kind", "where", "modules"), FITS.values(), ids=FITS)
def test_the_saved_folder_gives_what_the_row_gave(
    headed: Path, data: Path, tmp_path: Path, kind: str, where: str, modules: list[str]
) -> None:
    out = tmp_path / "out"
    steps = ["--steps", "2"] if kind == "autoencoder" else []
    args = ["fit", kind, "-m", f"{headed}{where}", "-d", str(data), "--no-store", "-o", str(out), *steps]
    made = CliRunner().invoke(cli.adaptors_app, args)
    assert made.exit_code == 0, made.stderr
    plain = SentenceTransformer(str(out), device="cpu", trust_remote_code=kind == "autoencoder")
    assert [type(module).__name__ for module in plain][1:] == modules
    assert plain.get_embedding_dimension() == DIM
    ours, texts = load_encoder(str(out), LoadOptions(dtype="float32", device="cpu")), make_texts(6)
    for side in ("encode_query", "encode_document"):
        assert np.abs(getattr(plain, side)(texts) - getattr(ours, side)(texts)).max() < 1e-5
    ranked = CliRunner().invoke(cli.probe_app, ["rank", str(out), "-d", str(data), "--no-store", "-f", "json"])
    (row,) = json.loads(ranked.stdout)["rows"]
    assert (row["pooling"], row["dim"]) == (where.partition(":")[2] or "own", DIM)


def test_what_is_fitted_sees_the_vectors_of_the_head(headed: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    args = ["fit", "truncate", "-m", str(headed), "--dims", str(WIDTH), "-d", str(data), "-o", str(out)]
    refused = CliRunner().invoke(cli.adaptors_app, [*args, "--no-store"])
    assert "it has at most 12 dimensions: lower --dims" in refused.stderr
    assert not out.exists()


def test_fusions_of_models_with_prompts_and_similarities_of_their_own(
    headed: Path, tiny_folder: Callable[[str], Path], data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    args = ["fit", "pca", "-m", f"{headed}@3:mean+{tiny_folder('mpnet')}@2:cls", "-d", str(data), "--no-store"]
    made = CliRunner().invoke(cli.adaptors_app, [*args, "-o", str(out)])
    assert made.exit_code == 0, made.stderr
    plain = SentenceTransformer(str(out), device="cpu", trust_remote_code=True)
    assert plain.get_embedding_dimension() == 2 * WIDTH
    ours, texts = load_encoder(str(out), LoadOptions(dtype="float32", device="cpu")), make_texts(6)
    for side in ("encode_query", "encode_document"):
        assert np.abs(getattr(plain, side)(texts) - getattr(ours, side)(texts)).max() < 1e-5
