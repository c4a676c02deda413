"""Vectors of every layer of both towers, against transformers' own parts put together by hand."""

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_images import draw_shapes
from tiny_towers import LONGEST, TOWER_KINDS, change_weights, write_towers
from transformers import AutoImageProcessor, AutoModel, AutoTokenizer

from probe.data.dataset import Dataset
from probe.data.images import ImageFile
from probe.encoding import tower_reader
from probe.encoding.hookpoints import select_hookpoints
from probe.encoding.opening import open_reader
from probe.encoding.reader import LayerReader
from probe.errors import CallError, ModelError
from probe.metrics.vectors import Embeddings
from probe.models.options import LoadOptions
from probe.sources.loading import load_dataset
from probe.store.store import Store

OPTIONS = LoadOptions(dtype="float32", device="cpu")
CAPTIONS = (
    "a",
    "a red circle at the top left",
    "the blue square",
    "a small green triangle on a white bar in the corner",
)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("towers")
    return {kind: write_towers(root / kind, kind) for kind in TOWER_KINDS}


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return load_dataset(str(draw_shapes(tmp_path_factory.mktemp("data") / "shapes", 20)))


@torch.inference_mode()
def embed_images(folder: Path, images: list[Image.Image], layer: int) -> Embeddings:
    """The definition: the blocks up to one layer, the norm, the pooling and the projection, one after another."""
    model: Any = AutoModel.from_pretrained(folder)
    model.eval()
    pixels = AutoImageProcessor.from_pretrained(folder, backend="pil")(images=images, return_tensors="pt")[
        "pixel_values"
    ]
    vision = model.vision_model
    hidden = vision.embeddings(pixels)
    if hasattr(vision, "pre_layrnorm"):
        hidden = vision.pre_layrnorm(hidden)
    for block in vision.encoder.layers[:layer]:
        hidden = block(hidden, None)
    hidden = vision.post_layernorm(hidden)
    made = model.visual_projection(hidden[:, 0]) if hasattr(model, "visual_projection") else vision.head(hidden)
    return np.asarray(made)


@torch.inference_mode()
def embed_text(folder: Path, text: str, layer: int) -> Embeddings:
    """The same of a single text: without padding, or filled up where there is no mask."""
    model: Any = AutoModel.from_pretrained(folder)
    model.eval()
    clip = hasattr(model, "text_projection")
    ids = AutoTokenizer.from_pretrained(folder)(text)["input_ids"]
    if not clip:
        ids = ids + [1] * (LONGEST - len(ids))
    tower = model.text_model
    hidden = tower.embeddings(input_ids=torch.tensor([ids]))
    causal = torch.full((len(ids), len(ids)), -torch.inf).triu(1)[None, None] if clip else None
    for block in tower.encoder.layers[:layer]:
        hidden = block(hidden, causal)
    last = tower.final_layer_norm(hidden)[:, -1]
    return np.asarray(model.text_projection(last) if clip else tower.head(last))[0]


@pytest.mark.parametrize("kind", TOWER_KINDS)
def test_every_image_layer_is_what_the_parts_give(folders: dict[str, Path], shapes: Dataset, kind: str) -> None:
    reader = open_reader(f"{folders[kind]}@image", OPTIONS)
    images = [text for _, text in shapes.documents]
    own = reader.model.pooling or ""
    assert own == {"clip": "cls", "siglip": "head"}[kind]
    found = reader.read(images, "", [(layer, own) for layer in range(4)]).vectors
    opened = [Image.open(image.path) for image in images if isinstance(image, ImageFile)]
    for layer in range(4):
        expected = embed_images(folders[kind], opened, layer)
        assert np.abs(found[layer, own] - expected).max() <= 1e-5, layer
    assert reader.model.width == found[3, own].shape[1]


@pytest.mark.parametrize("kind", TOWER_KINDS)
def test_every_text_layer_is_what_the_parts_give(folders: dict[str, Path], kind: str) -> None:
    reader = open_reader(f"{folders[kind]}@text", OPTIONS)
    assert reader.model.pooling == "last"
    found = reader.read(CAPTIONS, "", [(layer, "last") for layer in range(3)]).vectors
    for layer in range(3):
        expected = np.stack([embed_text(folders[kind], text, layer) for text in CAPTIONS])
        assert np.abs(found[layer, "last"] - expected).max() <= 1e-5, layer


def test_other_poolings_are_projected_too(folders: dict[str, Path], shapes: Dataset) -> None:
    reader = open_reader(f"{folders['clip']}@image", OPTIONS)
    images = [text for _, text in shapes.documents]
    found = reader.read(images, "", [(3, "mean")]).vectors[3, "mean"]
    model: Any = AutoModel.from_pretrained(folders["clip"])
    opened = [Image.open(image.path) for image in images if isinstance(image, ImageFile)]
    pixels = AutoImageProcessor.from_pretrained(folders["clip"], backend="pil")(images=opened, return_tensors="pt")[
        "pixel_values"
    ]
    with torch.inference_mode():
        hidden = model.eval().vision_model(pixel_values=pixels, output_hidden_states=True).hidden_states[-1]
        expected = model.visual_projection(model.vision_model.post_layernorm(hidden).mean(1)).numpy()
    assert np.abs(found - expected).max() <= 1e-5


def test_each_image_is_opened_once_for_all_layers(
    folders: dict[str, Path], shapes: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(
        tower_reader, "open_image", lambda image: (opened.append(image), Image.open(image.path).convert("RGB"))[1]
    )
    reader = open_reader(f"{folders['clip']}@image", OPTIONS)
    images = [text for _, text in shapes.documents]
    reader.read(images, "", [(layer, pooling) for layer in range(4) for pooling in ("cls", "mean", "max")])
    assert sorted(opened) == sorted(images)


def test_images_are_opened_one_batch_ahead_beside_the_model(
    folders: dict[str, Path], shapes: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    real, here = tower_reader.open_image, threading.current_thread().name
    monkeypatch.setattr(
        tower_reader, "open_image", lambda image: (opened.append(threading.current_thread().name), real(image))[1]
    )
    small = LayerReader.__init__
    reader = open_reader(f"{folders['clip']}@image", OPTIONS)
    small(reader, reader.model, token_budget=3 * reader.model.max_tokens)
    prepared = reader.prepare([text for _, text in shapes.documents], "")
    assert not opened
    assert [len(batch.rows) for batch in prepared.batches] == [3, 3, 3, 1]
    seen: list[int] = []
    reader.run(prepared, [(1, "cls")], lambda done: seen.append(len(opened)))
    assert [done <= known <= done + 3 for done, known in zip((3, 6, 9, 10), seen, strict=True)] == [True] * 4
    assert here not in opened


def test_the_cost_of_a_layer_is_what_a_tower_cut_there_keeps(folders: dict[str, Path]) -> None:
    model: Any = AutoModel.from_pretrained(folders["clip"])
    for tower, module, projection in (
        ("image", model.vision_model, model.visual_projection),
        ("text", model.text_model, model.text_projection),
    ):
        counts = open_reader(f"{folders['clip']}@{tower}", OPTIONS).model.parameters
        blocks = [sum(p.numel() for p in block.parameters()) for block in module.encoder.layers]
        whole = sum(p.numel() for p in (*module.parameters(), *projection.parameters()))
        assert counts == tuple(whole - sum(blocks[layer:]) for layer in range(len(blocks) + 1))


def test_a_siglip_head_counts_whole(folders: dict[str, Path]) -> None:
    model: Any = AutoModel.from_pretrained(folders["siglip"])
    whole = sum(p.numel() for p in model.vision_model.parameters())
    assert open_reader(f"{folders['siglip']}@image", OPTIONS).model.parameters[-1] == whole


def test_the_other_tower_is_let_go(folders: dict[str, Path]) -> None:
    for tower, other in (("image", "text_model"), ("text", "vision_model")):
        reader = open_reader(f"{folders['clip']}@{tower}", OPTIONS)
        kept = sum(p.numel() for p in reader.loaded.module.parameters())
        assert kept == reader.model.parameters[-1] + 1  # the scale of the logits
        assert not list(reader.loaded.module.get_submodule(f"model.{other}").parameters())


def test_a_known_tower_is_not_loaded_before_something_is_read(
    folders: dict[str, Path], shapes: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    first = open_reader(f"{folders['clip']}@image", OPTIONS, store)
    monkeypatch.setattr("probe.encoding.opening.load_files", lambda *args: pytest.fail("loaded"))
    again = open_reader(f"{folders['clip']}@image", OPTIONS, store)
    for name in ("depth", "width", "parameters", "pooling", "max_tokens", "tower", "notes"):
        assert getattr(again.model, name) == getattr(first.model, name)
    assert (again.model.pooling, again.model.tower) == ("cls", "image")


def test_towers_images_and_processors_have_keys_of_their_own(folders: dict[str, Path], tmp_path: Path) -> None:
    models = [open_reader(f"{folders['clip']}@{tower}", OPTIONS).model for tower in ("image", "text")]
    assert models[0].config_hash != models[1].config_hash
    other = write_towers(tmp_path / "other", "clip")
    changed = open_reader(f"{other}@image", OPTIONS).model
    assert (changed.weights_hash, changed.tokenizer_hash) == (models[0].weights_hash, models[0].tokenizer_hash)
    text = (other / "processor_config.json").read_text(encoding="utf-8")
    (other / "processor_config.json").write_text(text.replace("0.48145466", "0.5"), encoding="utf-8")
    os.utime(other / "processor_config.json", ns=(0, 0))
    assert open_reader(f"{other}@image", OPTIONS).model.tokenizer_hash != models[0].tokenizer_hash


def test_another_pillow_has_another_key(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    before = open_reader(f"{folders['clip']}@image", OPTIONS).model.tokenizer_hash
    monkeypatch.setattr("probe.models.hashes.library_versions", lambda names: dict.fromkeys(names, "1"))
    assert open_reader(f"{folders['clip']}@image", OPTIONS).model.tokenizer_hash != before


def test_each_tower_refuses_what_the_other_reads(folders: dict[str, Path], shapes: Dataset) -> None:
    images = [text for _, text in shapes.documents]
    with pytest.raises(CallError, match="reads images, not texts"):
        open_reader(f"{folders['clip']}@image", OPTIONS).read(CAPTIONS, "", [(1, "cls")])
    with pytest.raises(CallError, match="reads texts, not images"):
        open_reader(f"{folders['clip']}@text", OPTIONS).read(images, "", [(1, "last")])


@pytest.mark.parametrize(
    ("kind", "tower", "pooling", "words"),
    [
        ("siglip", "image", "mean", "unsupported pooling 'mean' of .*expected head"),
        ("clip", "image", "head", "unsupported pooling 'head' of .*expected cls"),
        ("clip", "text", "tokens", "no projection into the common space"),
    ],
)
def test_poolings_that_a_tower_does_not_have(
    folders: dict[str, Path], kind: str, tower: str, pooling: str, words: str
) -> None:
    model = open_reader(f"{folders[kind]}@{tower}", OPTIONS).model
    with pytest.raises(CallError, match=words):
        select_hookpoints(model, "all", [pooling], tokens=True)


def test_a_model_of_one_tower_has_no_head(load_tiny: Callable[[str], Any]) -> None:
    with pytest.raises(CallError, match="unsupported pooling 'head' of"):
        select_hookpoints(load_tiny("bert"), "all", ["head"])


def test_max_tokens_are_those_of_texts(folders: dict[str, Path]) -> None:
    short = LoadOptions(dtype="float32", device="cpu", max_tokens=4)
    reader = open_reader(f"{folders['clip']}@text", short)
    assert reader.read(CAPTIONS, "", [(1, "last")]).truncated == 3
    with pytest.raises(CallError, match="--max-tokens 4 does not apply to images"):
        open_reader(f"{folders['clip']}@image", short)
    with pytest.raises(CallError, match="--max-tokens 99 is out of range: the model supports 3 to 16"):
        open_reader(f"{folders['clip']}@text", LoadOptions(max_tokens=99))


def test_missing_weights_are_named(tmp_path: Path) -> None:
    folder = change_weights(write_towers(tmp_path / "clip"), lambda name: name != "visual_projection.weight")
    with pytest.raises(ModelError, match=r"lacks weights for 1 tensors .*\(visual_projection.weight"):
        open_reader(f"{folder}@image", OPTIONS)


def test_a_folder_without_an_image_processor(tmp_path: Path) -> None:
    folder = write_towers(tmp_path / "clip")
    (folder / "processor_config.json").unlink()
    with pytest.raises(ModelError, match="has no image processor"):
        open_reader(f"{folder}@image", OPTIONS)
    assert open_reader(f"{folder}@text", OPTIONS).model.tower == "text"
