"""The cut law for towers: a shorter one gives what was read at its layer, the other stays, whoever loads the folder."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_images import draw_shapes
from tiny_models import change_json, count_hooks, write_json
from tiny_towers import IMAGE_SIZE, LONGEST, TOWER_KINDS, make_towers, write_towers

from probe.data.images import ImageFile
from probe.encoding.tower_reader import TowerReader
from probe.errors import CallError, ModelError
from probe.metrics.vectors import Embeddings, unit
from probe.models.loading import load_model
from probe.models.options import LoadOptions
from probe.models.tower_loading import LoadedTower
from surgery.cutting import towers as tower_cutting
from surgery.cutting.cut import cut, keep
from surgery.cutting.towers import CutTower
from surgery.saving import fresh_process as fresh_check
from surgery.saving import towers as tower_folder
from surgery.saving.fresh_process import check_saved, draw_images
from surgery.saving.heads import OutputHead, TopModule
from surgery.saving.save import save

pytestmark = pytest.mark.usefixtures("quick_checks")

ROOT = Path(__file__).parents[3]
OPTIONS = LoadOptions("float32", "cpu")
DEPTHS = {"image": 3, "text": 2}
OTHER = {"image": "text", "text": "image"}
CUTS = [
    (kind, tower, after) for kind in TOWER_KINDS for tower, depth in DEPTHS.items() for after in range(1, depth + 1)
]
TEXTS = ("a", "two red circle at the top of the left", "a photo of the green square", "an orange ring " * 9)

LoadTower = Callable[[str, str], LoadedTower]

# Neither this package nor its source can be imported there.
CLIENT = """
import json, sys
import numpy
from importlib.util import find_spec
assert find_spec("probe") is None and find_spec("surgery") is None
from PIL import Image
from sentence_transformers import SentenceTransformer
from transformers import AutoModel
folders, (texts, images), out = json.load(open(sys.argv[1])), json.load(open(sys.argv[2])), sys.argv[3]
opened = [Image.open(path) for path in images]
report = {}
# In batches of two, so that the longest text does not fill up all of them.
options = {"batch_size": 2, "show_progress_bar": False}
for name, folder in folders.items():
    model = SentenceTransformer(folder, device="cpu")
    numpy.save(f"{out}/{name}-text.npy", model.encode(texts, **options))
    numpy.save(f"{out}/{name}-image.npy", model.encode(opened, **options))
    loaded, info = AutoModel.from_pretrained(folder, output_loading_info=True)
    report[name] = {
        "layers": {"image": len(loaded.vision_model.encoder.layers), "text": len(loaded.text_model.encoder.layers)},
        "strange": sorted({*info["missing_keys"], *info["unexpected_keys"]}),
    }
print(json.dumps(report))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    root = tmp_path_factory.mktemp("towers")
    return cache(lambda kind: write_towers(root / kind, kind))


@pytest.fixture(scope="module")
def load(folder: Callable[[str], Path]) -> LoadTower:
    return cache(lambda kind, tower: load_tower(folder(kind), tower))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> tuple[ImageFile, ...]:
    root = tmp_path_factory.mktemp("images")
    shapes = draw_shapes(root / "shapes", count=4)
    drawn = [ImageFile.of(path, path.name) for path in sorted((shapes / "images").iterdir())]
    return (*draw_images(root), *drawn)


def load_tower(folder: Path, tower: str) -> LoadedTower:
    model = load_model(f"{folder}@{tower}", OPTIONS)
    assert isinstance(model, LoadedTower)
    return model


def read(model: LoadedTower, layer: int, images: Sequence[str]) -> Embeddings:
    place = (layer, str(model.pooling))
    return TowerReader(model).read(images if model.tower == "image" else TEXTS, "", [place]).vectors[place]


def embed(folders: dict[str, Path], images: Sequence[ImageFile], root: Path) -> dict[str, Any]:
    """Embed texts and images with plain sentence-transformers in a process of its own, where we are not installed."""
    (root / "folders.json").write_text(json.dumps({name: str(folder) for name, folder in folders.items()}))
    (root / "samples.json").write_text(json.dumps([TEXTS, [str(image.path) for image in images]]))
    hide = "import sys; sys.meta_path = [f for f in sys.meta_path if 'editable' not in repr(f).lower()]\n"
    hide += f"sys.path = [p for p in sys.path if 'editable' not in p and p != {str(ROOT)!r}]\n"
    done = subprocess.run(
        [sys.executable, "-I", "-c", hide + CLIENT, root / "folders.json", root / "samples.json", root],
        capture_output=True,
        text=True,
        check=False,
        cwd=root,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(json.loads(done.stdout.splitlines()[-1]))


@pytest.fixture(scope="module")
def saved(load: LoadTower, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Both towers of both kinds cut at every depth; one block left out; both towers of one model cut, one by one."""
    root = tmp_path_factory.mktemp("saved")
    made = {
        f"{kind}-{tower}-{after}": save(cut(load(kind, tower), after), root / f"{kind}-{tower}-{after}")
        for kind, tower, after in CUTS
    }
    for kind in TOWER_KINDS:
        made[f"{kind}-kept"] = save(keep(load(kind, "image"), [1, 3]), root / f"{kind}-kept")
        shorter = load_tower(made[f"{kind}-image-2"], "text")
        made[f"{kind}-both"] = save(cut(shorter, 1), root / f"{kind}-both")
    return made


@pytest.fixture(scope="module")
def clients(
    saved: dict[str, Path], images: tuple[ImageFile, ...], tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], Path]:
    root = tmp_path_factory.mktemp("client")
    return embed(saved, images, root), root


@pytest.mark.parametrize(("kind", "tower", "after"), CUTS)
def test_cut_law_in_process(load: LoadTower, images: tuple[ImageFile, ...], kind: str, tower: str, after: int) -> None:
    model = load(kind, tower)
    shorter = cut(model, after)
    assert isinstance(shorter, CutTower)
    assert (shorter.depth, shorter.parts.pooling) == (after, model.pooling)
    assert shorter.parameters == model.parameters[: after + 1]
    for layer in range(after + 1):
        assert np.abs(read(shorter, layer, images) - read(model, layer, images)).max() <= 1e-5


@pytest.mark.parametrize(("kind", "tower", "after"), CUTS)
def test_cut_law_saved_and_loaded_by_plain_sentence_transformers(
    load: LoadTower,
    images: tuple[ImageFile, ...],
    clients: tuple[dict[str, Any], Path],
    kind: str,
    tower: str,
    after: int,
) -> None:
    found = np.load(clients[1] / f"{kind}-{tower}-{after}-{tower}.npy")
    assert np.abs(found - read(load(kind, tower), after, images)).max() <= 1e-5
    beside = np.load(clients[1] / f"{kind}-{tower}-{after}-{OTHER[tower]}.npy")
    other = load(kind, OTHER[tower])
    assert np.abs(beside - read(other, other.depth, images)).max() <= 1e-5


@pytest.mark.parametrize("kind", TOWER_KINDS)
def test_both_towers_of_a_model_can_be_cut_one_after_the_other(
    load: LoadTower, images: tuple[ImageFile, ...], clients: tuple[dict[str, Any], Path], kind: str
) -> None:
    for tower, after in (("image", 2), ("text", 1)):
        found = np.load(clients[1] / f"{kind}-both-{tower}.npy")
        assert np.abs(found - read(load(kind, tower), after, images)).max() <= 1e-5
    assert clients[0][f"{kind}-both"]["layers"] == {"image": 2, "text": 1}


@pytest.mark.parametrize("kind", TOWER_KINDS)
def test_chosen_blocks_are_kept(
    load: LoadTower, images: tuple[ImageFile, ...], clients: tuple[dict[str, Any], Path], kind: str
) -> None:
    chosen = keep(load(kind, "image"), [1, 3])
    assert isinstance(chosen, CutTower)
    found = np.load(clients[1] / f"{kind}-kept-image.npy")
    assert np.abs(found - read(chosen, 2, images)).max() <= 1e-5
    # By hand: the second block of the whole tower is stepped over.
    whole = make_whole(load(kind, "image"), skip=1)
    assert np.abs(found - read(whole, 3, images)).max() <= 1e-5


def make_whole(model: LoadedTower, skip: int) -> LoadedTower:
    """Return a tower one of whose blocks gives what it is given."""
    copied = load_tower(model.source.folder, str(model.tower))
    for parameter in copied.stack.blocks[skip].parameters():
        parameter.data.zero_()
    return copied


def test_no_tensor_of_a_saved_folder_is_random_or_strange(clients: tuple[dict[str, Any], Path]) -> None:
    for kind, tower, after in CUTS:
        report = clients[0][f"{kind}-{tower}-{after}"]
        assert report["layers"] == {**DEPTHS, tower: after}
        assert report["strange"] == []


@pytest.mark.parametrize(("kind", "tower"), [(kind, tower) for kind in TOWER_KINDS for tower in DEPTHS])
def test_the_folder_shrinks_by_exactly_the_removed_blocks(
    folder: Callable[[str], Path], saved: dict[str, Path], kind: str, tower: str
) -> None:
    before = load_file(folder(kind) / "model.safetensors")
    after = load_file(saved[f"{kind}-{tower}-1"] / "model.safetensors")
    path = {"image": "vision_model", "text": "text_model"}[tower] + ".encoder.layers."
    removed = {name for name in before if name.startswith(tuple(f"{path}{number}." for number in (1, 2)))}
    assert set(before) - set(after) == removed
    assert removed
    assert all(torch.equal(before[name], tensor) for name, tensor in after.items())


@pytest.mark.parametrize("tower", DEPTHS)
def test_every_key_of_the_config_is_kept(folder: Callable[[str], Path], saved: dict[str, Path], tower: str) -> None:
    before = json.loads((folder("clip") / "config.json").read_text())
    after = json.loads((saved[f"clip-{tower}-1"] / "config.json").read_text())
    own = {"image": "vision_config", "text": "text_config"}[tower]
    assert after.pop(own) == {**before.pop(own), "num_hidden_layers": 1}
    assert after == before


@pytest.mark.parametrize("kind", TOWER_KINDS)
def test_our_loader_reads_the_folder_alike(
    load: LoadTower, saved: dict[str, Path], images: tuple[ImageFile, ...], kind: str
) -> None:
    for tower in DEPTHS:
        model, again = load(kind, tower), load_tower(saved[f"{kind}-image-2"], tower)
        assert (again.pooling, again.width, again.max_tokens) == (model.pooling, model.width, model.max_tokens)
        assert again.depth == 2
        for layer in range(3):
            assert np.abs(read(again, layer, images) - read(model, layer, images)).max() <= 1e-5


def test_a_saved_folder_names_the_tower_and_what_it_was_cut_from(saved: dict[str, Path], load: LoadTower) -> None:
    told = json.loads((saved["siglip-both"] / "surgery.json").read_text())
    assert (told["tower"], told["blocks"], told["original_depth"], told["pooling"]) == ("text", [1], 2, "last")
    assert told["from"] == str(saved["siglip-image-2"])
    assert (told["earlier"]["tower"], told["earlier"]["blocks"]) == ("image", [1, 2])
    card = (saved["clip-kept"] / "README.md").read_text()
    assert "Blocks 1, 3 of the 3 blocks of the image tower of `clip`" in card
    assert "The text tower, the norms" in card
    assert load("clip", "image").weights_hash in card


def test_a_cut_of_a_cut_in_memory_is_a_cut_of_the_files(
    load: LoadTower, images: tuple[ImageFile, ...], tmp_path: Path
) -> None:
    twice = keep(keep(load("clip", "image"), [1, 3]), [2])
    assert isinstance(twice, CutTower)
    assert (twice.blocks, twice.original_depth) == ((3,), 3)
    again = load_tower(save(twice, tmp_path / "third"), "image")
    assert np.abs(read(again, 1, images) - read(twice, 1, images)).max() <= 1e-5


def test_the_input_is_never_touched(load: LoadTower) -> None:
    model = load("siglip", "image")
    before = {name: tensor.clone() for name, tensor in model.module.state_dict().items()}
    pair: Any = model.module
    config = pair.config.to_dict()
    shorter: Any = cut(model, 1)
    with torch.no_grad():
        for parameter in shorter.module.parameters():
            parameter.zero_()
        for step in shorter.parts.steps:
            assert all(not parameter.any() for parameter in step.parameters())
    assert pair.config.to_dict() == config
    assert len(model.stack.blocks) == 3
    assert all(torch.equal(before[name], tensor) for name, tensor in model.module.state_dict().items())
    assert count_hooks(model.module) == count_hooks(shorter.module) == 0


def test_images_are_resized_by_pillow_wherever_the_folder_is_loaded(saved: dict[str, Path]) -> None:
    for name, fills in (("clip-text-1", False), ("siglip-image-1", True)):
        told = json.loads((saved[name] / "sentence_bert_config.json").read_text())
        assert told["processor_kwargs"] == {"backend": "pil"}
        assert told["max_seq_length"] == LONGEST
        assert told.get("processing_kwargs") == ({"text": {"padding": "max_length"}} if fills else None)


def test_another_cut_has_another_key(load: LoadTower) -> None:
    made = [load("clip", "image"), *(cut(load("clip", tower), 1) for tower in DEPTHS), cut(load("clip", "image"), 2)]
    assert len({(model.weights_hash, model.config_hash) for model in made}) == 4


@pytest.mark.parametrize("after", [0, 3, -1])
def test_a_cut_outside_the_tower_is_a_wrong_call(load: LoadTower, after: int) -> None:
    with pytest.raises(CallError, match="blocks 1 to 2"):
        cut(load("clip", "text"), after)


@pytest.mark.parametrize("blocks", [[], [0], [3], [1, 1], [2, 1]])
def test_wrong_blocks_are_a_wrong_call(load: LoadTower, blocks: list[int]) -> None:
    with pytest.raises(CallError):
        keep(load("clip", "text"), blocks)


def test_another_pooling_and_modules_on_top_have_no_place_in_the_folder(load: LoadTower, tmp_path: Path) -> None:
    shorter = cut(load("clip", "image"), 1)
    with pytest.raises(CallError, match=r"--pooling mean: .* pools by 'cls' in its own code"):
        save(shorter, tmp_path / "out", OutputHead("mean"))
    with pytest.raises(CallError, match="an adaptor cannot be added"):
        save(shorter, tmp_path / "out", OutputHead("cls", (TopModule("Dense", lambda folder: None),)))
    assert list(tmp_path.iterdir()) == []


def test_a_cut_that_gives_other_embeddings_is_refused_in_process(
    load: LoadTower, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_blocks = tower_cutting._copy_blocks

    def spoil(model: LoadedTower, chosen: Sequence[int]) -> Any:
        module, parts = copy_blocks(model, chosen)
        with torch.no_grad():
            next(parts.stack.blocks.parameters()).add_(0.1)
        return module, parts

    monkeypatch.setattr(tower_cutting, "_copy_blocks", spoil)
    with pytest.raises(ModelError, match="states differ from layer 2"):
        cut(load("clip", "image"), 2)


def test_a_config_that_does_not_count_the_blocks_is_refused(load: LoadTower) -> None:
    model = load_tower(load("clip", "image").source.folder, "image")
    pair: Any = model.module
    pair.config.vision_config.num_hidden_layers = 7
    with pytest.raises(ModelError, match="does not count its 3 blocks"):
        cut(model, 1)


def check(model: LoadedTower, after: int, out: Path) -> Path:
    shorter = cut(model, after)
    finish = OutputHead(str(shorter.pooling))
    return save(shorter, out, finish, check=lambda folder: check_saved(folder, shorter, finish))


def test_the_fresh_process_sees_texts_that_are_not_filled_up(
    load: LoadTower, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = tower_folder.write_json

    def forget(path: Path, value: Any) -> None:
        written(path, {key: part for key, part in value.items() if key != "processing_kwargs"})

    monkeypatch.setattr(tower_folder, "write_json", forget)
    with pytest.raises(ModelError, match="vectors differ"):
        check(load("siglip", "image"), 2, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_the_fresh_process_sees_another_tower_that_is_not_whole(
    load: LoadTower, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = tower_folder.write_weights

    def spoil(model: CutTower, path: str, source: Path, *, out: Path) -> None:
        write(model, path, source, out=out)
        tensors = load_file(out / "model.safetensors")
        tensors["visual_projection.weight"] += 0.01
        save_file(tensors, out / "model.safetensors", metadata={"format": "pt"})

    monkeypatch.setattr(tower_folder, "write_weights", spoil)
    with pytest.raises(ModelError, match="vectors differ"):
        check(load("clip", "text"), 1, tmp_path / "out")


@pytest.fixture
def like_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run what the fresh process runs in this one, which has imported everything."""

    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        monkeypatch.setattr(sys, "argv", [command[0], *command[3:]])
        exec(command[2], {})
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(fresh_check.subprocess, "run", run)


def write_old(folder: Path) -> Path:
    """Write a model as CLIP's first ones were: configs said twice, sizes as numbers, in a folder of its own."""
    inner = write_towers(folder / "0_CLIPModel")
    config = json.loads((inner / "config.json").read_text())
    twice = {f"{name}_dict": {k: v for k, v in config[name].items() if k != "model_type"} for name in OLD}
    change_json(inner / "config.json", **twice)
    (inner / "processor_config.json").unlink()
    means = {"image_mean": [0.48, 0.46, 0.41], "image_std": [0.27, 0.26, 0.28]}
    steps = {"do_center_crop": True, "do_normalize": True, "do_resize": True, "resample": 3}
    sizes = {"size": IMAGE_SIZE, "crop_size": IMAGE_SIZE, "feature_extractor_type": "CLIPFeatureExtractor"}
    write_json(inner / "preprocessor_config.json", {**means, **steps, **sizes})
    modules = [{"idx": 0, "name": "0", "path": "0_CLIPModel", "type": "sentence_transformers.models.CLIPModel"}]
    write_json(folder / "modules.json", modules)
    # What open_clip leaves beside it.
    save_file({"visual.proj": torch.ones(2)}, inner / "open_clip_model.safetensors")
    return folder


OLD = ("vision_config", "text_config")


@pytest.mark.usefixtures("like_fresh")
@pytest.mark.parametrize("tower", DEPTHS)
def test_a_model_in_an_old_layout_is_cut_to_a_whole_one_in_todays(
    tmp_path: Path, images: tuple[ImageFile, ...], tower: str
) -> None:
    model = load_tower(write_old(tmp_path / "old"), tower)
    out = check(model, 1, tmp_path / "out")
    config = json.loads((out / "config.json").read_text())
    own = {"image": "vision_config", "text": "text_config"}[tower]
    assert [config[name]["num_hidden_layers"] for name in (own, f"{own}_dict")] == [1, 1]
    assert not [name for name in load_file(out / "model.safetensors") if name.startswith("visual.")]
    again = load_tower(out, tower)
    assert np.abs(read(again, 1, images) - read(model, 1, images)).max() <= 1e-5


@pytest.mark.usefixtures("like_fresh")
@pytest.mark.parametrize("names", [("dtype",), ("torch_dtype",), ()])
def test_weights_in_half_precision_compute_in_float32_wherever_they_are_loaded(
    names: tuple[str, ...], tmp_path: Path
) -> None:
    folder = write_towers(tmp_path / "half", "siglip")
    make_towers("siglip").to(torch.float16).save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    told = dict.fromkeys(names, "float16")
    inner = {name: {**config[name], **told} for name in OLD}
    write_json(folder / "config.json", {**{k: v for k, v in config.items() if k != "dtype"}, **inner, **told})
    out = check(load_tower(folder, "image"), 2, tmp_path / "out")
    assert {tensor.dtype for tensor in load_file(out / "model.safetensors").values()} == {torch.float16}


@pytest.mark.usefixtures("like_fresh")
def test_a_list_as_long_as_the_tower_that_counts_no_blocks_stays_whole(tmp_path: Path) -> None:
    folder = write_towers(tmp_path / "listed")
    config = json.loads((folder / "config.json").read_text())
    change_json(folder / "config.json", vision_config={**config["vision_config"], "kinds": ["a", "b", "c"]})
    out = save(keep(load_tower(folder, "image"), [1, 3]), tmp_path / "out")
    assert json.loads((out / "config.json").read_text())["vision_config"]["kinds"] == ["a", "b", "c"]


@pytest.mark.usefixtures("like_fresh")
def test_a_longest_text_prompts_and_a_normalizing_model_are_carried_over(
    folder: Callable[[str], Path], images: tuple[ImageFile, ...], tmp_path: Path
) -> None:
    source = Path(shutil.copytree(folder("siglip"), tmp_path / "model"))
    modules = [{"path": "", "type": "sentence_transformers.models.Transformer"}]
    modules.append({"path": "1_Normalize", "type": "sentence_transformers.models.Normalize"})
    write_json(source / "modules.json", modules)
    options = LoadOptions("float32", "cpu", max_tokens=7, query_prompt="a photo of ", document_prompt="the ")
    model = load_model(f"{source}@text", options)
    assert isinstance(model, LoadedTower)
    out = check(model, 1, tmp_path / "out")
    again = load_tower(out, "text")
    assert (again.max_tokens, again.query_prompt, again.document_prompt) == (7, "a photo of ", "the ")
    from sentence_transformers import SentenceTransformer

    found = SentenceTransformer(str(out), device="cpu").encode(list(TEXTS), batch_size=2)
    assert np.abs(found - unit(read(model, 1, images))).max() <= 1e-5
