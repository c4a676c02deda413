"""A linear map on top: no normalization before it where none is needed, for servers that read few modules."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, LayerNorm, Normalize, Pooling, Transformer
from tiny_models import make_texts

import surgery
from probe.errors import ModelError
from probe.metrics.vectors import Embeddings
from probe.models.loaded import LoadedModel
from surgery.saving.heads import DenseLayer, OutputHead, TopModule, read_dense, write_dense

TEXTS = make_texts(8)
WIDTH = 32


def make_dense(biased: bool) -> DenseLayer:
    weight = np.random.default_rng(0).normal(size=(WIDTH, 16)).astype(np.float32)
    return DenseLayer.of(weight, weight[0] * biased)


def make_head(biased: bool, pooling: str = "mean") -> OutputHead:
    dense = make_dense(biased)
    return OutputHead(pooling, (TopModule("Dense", partial(write_dense, dense), scale_free=dense.bias is None),))


def names(folder: Path) -> list[str]:
    return [module["type"].rpartition(".")[2] for module in json.loads((folder / "modules.json").read_text())]


def expected(below: list[torch.nn.Module], dense: DenseLayer) -> Embeddings:
    """Return the map of unit vectors, scaled to length 1."""
    vectors = SentenceTransformer(modules=below, device="cpu").encode(TEXTS, normalize_embeddings=True, batch_size=1)
    mapped = vectors @ dense.weight + (0 if dense.bias is None else dense.bias)
    return np.asarray(mapped / np.linalg.norm(mapped, axis=1, keepdims=True))


@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("pooling", ["mean", "own"])
def test_only_a_map_with_a_bias_needs_unit_vectors(
    load_tiny: Callable[[str], LoadedModel], tmp_path: Path, biased: bool, pooling: str
) -> None:
    cut = surgery.cut(load_tiny("bert"), 2)
    folder = surgery.save(cut, tmp_path / "out", make_head(biased, pooling), check=lambda folder: None)
    assert names(folder) == ["Transformer", "Pooling", *["Normalize"] * biased, "Dense", "Normalize"]
    model = SentenceTransformer(str(folder), device="cpu")
    found = model.encode(TEXTS, batch_size=1)
    np.testing.assert_allclose(found, expected(list(model)[:2], make_dense(biased)), atol=1e-5)
    # Without its normalization, a map with a bias gives others.
    bare = SentenceTransformer(modules=[*list(model)[:2], *list(model)[-2:]], device="cpu")
    difference = np.abs(bare.encode(TEXTS, batch_size=1) - found).max()
    assert (difference > 1e-3) if biased else (difference <= 1e-6)


def write_own(folder: Path, source: Path, above: list[torch.nn.Module]) -> Path:
    """Write a model with modules of its own after the pooling."""
    first = Transformer(str(source))
    modules = [first, Pooling(first.get_embedding_dimension()), *above]
    SentenceTransformer(modules=modules, device="cpu").save_pretrained(str(folder), create_model_card=False)
    return folder


def own_dense() -> Dense:
    torch.manual_seed(0)
    return Dense(WIDTH, WIDTH, activation_function=torch.nn.Tanh())


OWN_HEADS = {
    "a normalization": (lambda: [Normalize()], []),
    "a network": (lambda: [own_dense()], ["Dense"]),
    "a network and a normalization": (lambda: [own_dense(), Normalize()], ["Dense"]),
    "a normalization and a network": (lambda: [Normalize(), own_dense()], ["Normalize", "Dense"]),
    "a norm of layers": (lambda: [LayerNorm(WIDTH)], ["LayerNorm"]),
    "a normalization before a norm of layers": (lambda: [Normalize(), LayerNorm(WIDTH)], ["Normalize", "LayerNorm"]),
    "a normalization of tokens": (lambda: [Normalize("token_embeddings")], ["Normalize"]),
}


@pytest.mark.parametrize(("make", "kept"), OWN_HEADS.values(), ids=OWN_HEADS)
@pytest.mark.parametrize("biased", [True, False])
def test_of_the_models_own_modules_only_a_last_normalization_is_left_out(
    tiny_folder: Callable[[str], Path],
    tmp_path: Path,
    make: Callable[[], list[torch.nn.Module]],
    kept: list[str],
    biased: bool,
) -> None:
    own = write_own(tmp_path / "own", tiny_folder("bert"), make())
    folder = surgery.save(surgery.cut(str(own), 2), tmp_path / "out", make_head(biased, "own"), check=lambda made: None)
    assert names(folder) == ["Transformer", "Pooling", *kept, *["Normalize"] * biased, "Dense", "Normalize"]
    model = SentenceTransformer(str(folder), device="cpu")
    below = list(model)[: 2 + len(kept)]
    np.testing.assert_allclose(model.encode(TEXTS, batch_size=1), expected(below, make_dense(biased)), atol=1e-5)


def test_a_map_after_a_norm_of_layers_gets_unit_vectors(
    load_tiny: Callable[[str], LoadedModel], tmp_path: Path
) -> None:
    # A LayerNorm adds a small number to the variance of its input, so it depends on the length.
    dense = make_head(False).top[0]
    head = OutputHead("mean", (TopModule("LayerNorm", lambda folder: LayerNorm(WIDTH).save(str(folder))), dense))
    folder = surgery.save(surgery.cut(load_tiny("bert"), 2), tmp_path / "out", head, check=lambda made: None)
    assert names(folder) == ["Transformer", "Pooling", "Normalize", "LayerNorm", "Dense", "Normalize"]


@pytest.mark.parametrize("biased", [True, False])
def test_a_map_is_read_as_it_was_written(tmp_path: Path, biased: bool) -> None:
    dense = make_dense(biased)
    write_dense(dense, tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["bias"] is biased
    found = read_dense(tmp_path)
    np.testing.assert_array_equal(found.weight, dense.weight)
    assert (found.bias is None) is not biased
    loaded = Dense.load(str(tmp_path))
    assert (loaded.linear.bias is None) is not biased


def test_a_bias_that_is_missing_is_noticed(tmp_path: Path) -> None:
    write_dense(make_dense(biased=True), tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    save_file({"linear.weight": weights["linear.weight"]}, tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match="cannot read a linear map"):
        read_dense(tmp_path)
