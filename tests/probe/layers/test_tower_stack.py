"""Towers of two-tower models: found, explained and read layer by layer, against what transformers itself gives."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_images import draw_shapes
from tiny_models import change_json
from tiny_towers import IMAGE_SIZE, LONGEST, PATCH, PROJECTION, TOWER_KINDS, make_towers, write_towers
from torch import Tensor, nn
from transformers import AutoModel

from probe.data.images import ImageFile
from probe.encoding.encoders import HookpointEncoder
from probe.encoding.tower_reader import TowerReader
from probe.errors import CallError, ModelError
from probe.layers.tower_stack import Tower, TowerModule, find_tower
from probe.models.loading import load_model
from probe.models.options import LoadOptions
from probe.models.tower_loading import LoadedTower, load_other
from surgery.saving.fresh_process import draw_images

OPTIONS = LoadOptions("float32", "cpu")
TOWERS = [(kind, tower) for kind in TOWER_KINDS for tower in ("image", "text")]
PATCHES = (IMAGE_SIZE // PATCH) ** 2
# Kind and tower: depth, width of the embedding, pooling, tokens, what makes the embedding of the pooled state.
EXPECTED = {
    ("clip", "image"): (3, PROJECTION, "cls", PATCHES + 1, ["Linear"]),
    ("clip", "text"): (2, PROJECTION, "last", LONGEST, ["Linear"]),
    ("siglip", "image"): (3, 32, "head", PATCHES, ["SiglipMultiheadAttentionPoolingHead"]),
    ("siglip", "text"): (2, 32, "last", LONGEST, ["Linear"]),
}
TEXTS = ("a", "two red circle at the top of the left", "a photo of the green square", "an orange ring " * 9)

LoadTower = Callable[[str, str], LoadedTower]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    root = tmp_path_factory.mktemp("towers")
    return cache(lambda kind: write_towers(root / kind, kind))


@pytest.fixture(scope="module")
def load(folder: Callable[[str], Path]) -> LoadTower:
    def load_tower(kind: str, tower: str) -> LoadedTower:
        model = load_model(f"{folder(kind)}@{tower}", OPTIONS)
        assert isinstance(model, LoadedTower)
        return model

    return cache(load_tower)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> tuple[ImageFile, ...]:
    root = tmp_path_factory.mktemp("images")
    shapes = draw_shapes(root / "shapes", count=4)
    drawn = [ImageFile.of(path, path.name) for path in sorted((shapes / "images").iterdir())]
    return (*draw_images(root), *drawn)


@pytest.mark.parametrize(("kind", "tower"), TOWERS)
def test_a_tower_is_found_with_its_norm_its_pooling_and_its_projection(load: LoadTower, kind: str, tower: str) -> None:
    model = load(kind, tower)
    steps = [type(step).__name__ for step in model.parts.steps]
    assert (model.depth, model.width, model.pooling, model.max_tokens, steps) == EXPECTED[kind, tower]
    assert model.stack.path.endswith("encoder.layers")
    assert isinstance(model.stack.final_norm, nn.LayerNorm)


def whole(folder: Path) -> Any:
    """Return transformers' model of both towers, loaded without anything of ours."""
    return AutoModel.from_pretrained(folder, dtype=torch.float32).eval()


def hidden_states(pair: Any, model: LoadedTower, inputs: dict[str, Tensor]) -> tuple[Tensor, ...]:
    inner = pair.vision_model if model.tower == "image" else pair.text_model
    with torch.inference_mode():
        return tuple(inner(**inputs, output_hidden_states=True).hidden_states)


def embed_by_hand(pair: Any, kind: str, tower: str, states: Tensor, ends: list[int]) -> Tensor:
    """Return the embeddings of token states of a layer, each family written out; `ends` are the texts' last tokens."""
    if tower == "text":
        normed = pair.text_model.final_layer_norm(states)
        last = torch.stack([row[end] for row, end in zip(normed, ends, strict=True)])
        return pair.text_projection(last) if kind == "clip" else pair.text_model.head(last)
    normed = pair.vision_model.post_layernorm(states)
    return pair.visual_projection(normed[:, 0]) if kind == "clip" else pair.vision_model.head(normed)


@pytest.mark.parametrize(("kind", "tower"), TOWERS)
def test_every_layer_is_read_as_transformers_makes_it(
    load: LoadTower, folder: Callable[[str], Path], images: tuple[ImageFile, ...], kind: str, tower: str
) -> None:
    model, pair = load(kind, tower), whole(folder(kind))
    if tower == "image":
        opened = [Image.open(image.path).convert("RGB") for image in images]
        inputs, ends = dict(model.tokenizer(images=opened, return_tensors="pt")), []
    else:
        filled = {"padding": "max_length"} if kind == "siglip" else {"padding": True}
        inputs = dict(model.tokenizer(list(TEXTS), return_tensors="pt", truncation=True, **filled))
        ends = [int(row.sum()) - 1 for row in inputs["attention_mask"]] if kind == "clip" else [LONGEST - 1] * 4
    states = hidden_states(pair, model, inputs)
    places = [(layer, str(model.pooling)) for layer in range(model.depth + 1)]
    read = TowerReader(model).read(images if tower == "image" else TEXTS, "", places).vectors
    with torch.inference_mode():
        for place in places:
            expected = embed_by_hand(pair, kind, tower, states[place[0]], ends)
            assert np.abs(read[place] - expected.numpy()).max() <= 1e-5, place
        own = getattr(pair, f"get_{tower}_features")(**inputs).pooler_output
    assert np.abs(read[places[-1]] - own.numpy()).max() <= 1e-5


def test_siglip_sees_every_text_filled_up_and_clip_only_its_own_tokens(load: LoadTower) -> None:
    for kind, fills in (("clip", False), ("siglip", True)):
        reader = TowerReader(load(kind, "text"))
        batches = reader.prepare(["a"], "").batches
        assert reader.tower.texts is not None
        assert reader.tower.texts.fills == fills
        assert batches[0].input_ids.shape[1] == (LONGEST if fills else 3)


@pytest.mark.parametrize(("kind", "tower"), TOWERS)
def test_parameters_are_those_that_a_tower_cut_there_needs(
    load: LoadTower, folder: Callable[[str], Path], kind: str, tower: str
) -> None:
    model, pair = load(kind, tower), whole(folder(kind))
    own = {"image": ("vision_model.", "visual_projection."), "text": ("text_model.", "text_projection.")}[tower]
    named = {name: p.numel() for name, p in pair.named_parameters() if name.startswith(own)}
    for layer, counted in enumerate(model.parameters):
        gone = tuple(f"{own[0]}encoder.layers.{number}." for number in range(layer, model.depth))
        assert counted == sum(count for name, count in named.items() if not name.startswith(gone)), layer


@pytest.mark.parametrize(("kind", "tower"), TOWERS)
def test_the_other_tower_is_let_go_and_can_be_loaded_again(load: LoadTower, kind: str, tower: str) -> None:
    model = load(kind, tower)
    other = {"image": "text", "text": "image"}[tower]
    left = {name.split(".")[1] for name, _ in model.module.named_parameters()}
    assert left - {"logit_scale", "logit_bias"} <= {
        "vision_model",
        "visual_projection",
        "text_model",
        "text_projection",
    }
    assert ("vision_model" in left, "text_model" in left) == (tower == "image", tower == "text")
    assert not model.stack.needs("model.logit_scale")
    found = load_other(model)
    assert (found.tower, found.source.name) == (other, model.source.name.replace(f"@{tower}", f"@{other}"))
    assert (found.depth, found.pooling) == (load(kind, other).depth, load(kind, other).pooling)


def test_a_head_is_a_pooling_of_its_own_tower_only(load: LoadTower, images: tuple[ImageFile, ...]) -> None:
    reader = TowerReader(load("siglip", "image"))
    encoded = HookpointEncoder(reader, 2, "head").encode_document(images)
    assert np.array_equal(encoded, reader.read(images, "", [(2, "head")]).vectors[2, "head"])
    with pytest.raises(CallError, match="unknown pooling 'head'"):
        HookpointEncoder(TowerReader(load("clip", "image")), 2, "head")


class ToyBlock(nn.Module):
    """Mixes the states of a token."""

    def __init__(self, width: int) -> None:
        """Draw its weights."""
        super().__init__()
        self.mix = nn.Linear(width, width)

    def forward(self, hidden: Tensor) -> Tensor:
        """Return the next states."""
        return hidden + torch.tanh(self.mix(hidden))


class ToyPair(nn.Module):
    """A model that embeds texts as `finish` says; its blocks and what comes after are called in `get_text_features`."""

    def __init__(self, finish: Callable[["ToyPair", Tensor, Tensor], Tensor], depth: int = 2, width: int = 8) -> None:
        """Draw its weights.

        Args:
            finish: Makes embeddings of the last block's states and the mask.
            depth: Number of blocks.
            width: D.
        """
        super().__init__()
        torch.manual_seed(0)
        self.config = SimpleNamespace()
        self.words = nn.Embedding(20, width)
        self.blocks = nn.ModuleList(ToyBlock(width) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.square = nn.Linear(width, width, bias=False)
        self.unused = nn.Linear(width, width)
        self.finish = finish
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.normal_()
        self.eval()

    def get_text_features(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return embeddings `(B, D)`."""
        hidden = self.words(input_ids)
        for block in self.blocks:
            hidden = block(hidden)
        return self.finish(self, hidden, attention_mask)


INPUTS = {
    "input_ids": torch.tensor([[1, 2, 3, 4, 5], [6, 7, 8, 0, 0]]),
    "attention_mask": torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]),
}


def find_toy(finish: Callable[[ToyPair, Tensor, Tensor], Tensor], **settings: Any) -> Tower:
    return find_tower(TowerModule(ToyPair(finish, **settings), "text"), INPUTS)


def mean(hidden: Tensor, mask: Tensor) -> Tensor:
    return torch.stack([row[real.bool()].mean(dim=0) for row, real in zip(hidden, mask, strict=True)])


POOLED = {
    "cls": lambda hidden, mask: hidden[:, 0],
    "last": lambda hidden, mask: torch.stack([hidden[0, 4], hidden[1, 2]]),
    "max": lambda hidden, mask: torch.stack([hidden[0].amax(dim=0), hidden[1, :3].amax(dim=0)]),
    "mean": mean,
}


@pytest.mark.parametrize("name", POOLED)
@pytest.mark.parametrize("normed", [True, False])
def test_pooling_is_told_by_what_it_gives_and_a_norm_from_a_square_projection(name: str, normed: bool) -> None:
    def finish(pair: ToyPair, hidden: Tensor, mask: Tensor) -> Tensor:
        state = pair.norm(hidden) if normed else hidden
        pooled: Tensor = pair.square(POOLED[name](state, mask))
        return pooled

    tower = find_toy(finish)
    assert tower.pooling == name
    assert [type(step).__name__ for step in tower.steps] == ["Linear"]
    assert (tower.stack.final_norm is not None) == normed


def test_a_norm_after_the_pooling_is_the_same_as_before_one_that_picks_a_token() -> None:
    tower = find_toy(lambda pair, hidden, mask: pair.square(pair.norm(hidden[:, 0])))
    assert (tower.pooling, isinstance(tower.stack.final_norm, nn.LayerNorm)) == ("cls", True)


def test_a_tower_may_end_with_its_pooling() -> None:
    tower = find_toy(lambda pair, hidden, mask: mean(hidden, mask))
    assert (tower.pooling, tower.steps, tower.stack.final_norm) == ("mean", (), None)


def test_parameters_that_no_forward_reads_are_named() -> None:
    tower = find_toy(lambda pair, hidden, mask: pair.norm(hidden)[:, 0])
    assert {name.split(".")[1] for name in tower.stack.unread} == {"square", "unused"}


def test_a_tower_of_one_block_is_found() -> None:
    assert find_toy(lambda pair, hidden, mask: hidden[:, 0], depth=1).stack.depth == 1


UNEXPLAINED = {
    "a factor of no module": lambda pair, hidden, mask: 3 * pair.norm(hidden)[:, 0],
    "two tokens": lambda pair, hidden, mask: hidden[:, 0] + hidden[:, 1],
    "the norm of a mean": lambda pair, hidden, mask: pair.norm(mean(hidden, mask)),
}


@pytest.mark.parametrize("finish", UNEXPLAINED.values(), ids=UNEXPLAINED)
def test_a_tower_that_cannot_be_explained_is_refused(finish: Callable[[ToyPair, Tensor, Tensor], Tensor]) -> None:
    with pytest.raises(ModelError, match=r"text embedding of ToyPair is no known pooling .* cannot be verified"):
        find_toy(finish)


def test_a_model_without_one_list_of_blocks_is_refused() -> None:
    pair = ToyPair(lambda pair, hidden, mask: hidden[:, 0])
    pair.more = nn.ModuleList([ToyBlock(8)])
    pair.finish = lambda pair, hidden, mask: pair.more[0](hidden)[:, 0]
    with pytest.raises(ModelError, match=r"no single list of blocks: .*blocks, .*more"):
        find_tower(TowerModule(pair, "text"), INPUTS)


def test_a_model_that_embeds_no_such_inputs_is_refused() -> None:
    with pytest.raises(ModelError, match="ToyPair has no get_image_features"):
        TowerModule(ToyPair(lambda pair, hidden, mask: hidden[:, 0]), "image")


def test_weights_that_are_missing_are_no_model(tmp_path: Path) -> None:
    folder = write_towers(tmp_path / "model")
    config = make_towers().config.vision_config.to_dict()
    change_json(folder / "config.json", vision_config={**config, "num_hidden_layers": 5})
    for tower in ("image", "text"):
        with pytest.raises(ModelError, match="lacks weights for"):
            load_model(f"{folder}@{tower}", OPTIONS)


def test_an_image_processor_that_does_not_work_is_named_with_its_model(tmp_path: Path) -> None:
    folder = write_towers(tmp_path / "model")
    change_json(
        folder / "processor_config.json", image_processor={"image_processor_type": "CLIPImageProcessor", "size": 3}
    )
    load_model(f"{folder}@text", OPTIONS)
    (folder / "processor_config.json").write_text('{"image_processor": {"image_processor_type": "NoProcessor"}}')
    with pytest.raises(ModelError, match="model@image' cannot be loaded by transformers"):
        load_model(f"{folder}@image", OPTIONS)


def test_an_image_tower_without_pillow_says_what_to_install(
    folder: Callable[[str], Path], without: Callable[[str], None]
) -> None:
    without("PIL")
    with pytest.raises(CallError, match=r"pip install 'encoder-surgery\[images\]'"):
        load_model(f"{folder('clip')}@image", OPTIONS)
