"""`adaptors tune` on a two-tower model as a user types it: a folder that anybody loads, or a line on what was wrong."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from tiny_data import write_lines
from tiny_images import draw_shapes
from tiny_towers import TOWER_KINDS, write_towers
from tiny_tuning import Interrupted, pairs_file, run_command, spy_steps
from transformers import AutoModel, AutoProcessor
from typer.testing import Result

from adaptors.finetuning.encoder import open_trainable
from adaptors.finetuning.two_towers import PairedModel
from probe.data.images import ImageFile, open_image
from probe.data.training_record import read_learned
from probe.encoding.hookpoints import own_pooling
from probe.encoding.opening import open_reader
from probe.encoding.protocols import Encoder
from probe.errors import ModelError
from probe.models.options import LoadOptions
from probe.sources.loading import load_dataset
from surgery.saving.fresh_process import check_pair

pytestmark = pytest.mark.usefixtures("quick_checks")

OPTIONS = LoadOptions(dtype="float32", device="cpu")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen drawings to train on, and as many to test."""
    return draw_shapes(tmp_path_factory.mktemp("drawn") / "shapes", 32)


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("towers")
    return {kind: write_towers(root / kind, kind) for kind in TOWER_KINDS}


def tune(model: object, data: object, out: Path, *args: object) -> Result:
    schedule = ("--epochs", 2, "--batch-size", 8, "--lr", 1e-3, "--hold-out", 0)
    return run_command("tune", "-m", model, "-d", data, *schedule, "--out", out, *args)


@pytest.fixture(scope="module")
def tuned(bases: dict[str, Path], drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of both kinds, each checked in a fresh process; one was tuned whole, one by low-rank matrices."""
    root = tmp_path_factory.mktemp("tuned")
    for kind, scope in (("clip", ()), ("siglip", ("--lora", 4))):
        log = ("--log", root / f"{kind}.jsonl")
        done = tune(bases[kind], drawn, root / kind, "--loss", "alignment-anisotropy", *scope, *log)
        assert done.exit_code == 0, done.stderr
        assert done.stdout == f"{root / kind}\n"
        assert "checking it in a fresh process" in done.stderr
        assert f"compare: probe layers {root / kind}@image -d DATASET" in done.stderr
        facts = [json.loads(line) for line in (root / f"{kind}.jsonl").read_text().splitlines()]
        assert facts[-1]["step"] == 4
        assert all(np.isfinite(fact["uniformity"]) for fact in facts)
    return {kind: root / kind for kind in TOWER_KINDS}


@pytest.mark.parametrize("kind", TOWER_KINDS)
def test_probing_reads_what_sentence_transformers_gives(tuned: dict[str, Path], drawn: Path, kind: str) -> None:
    plain = SentenceTransformer(str(tuned[kind]), device="cpu")
    data = load_dataset(str(drawn), "test")
    for tower, side in (("image", data.documents), ("text", data.queries)):
        inputs = [text for _, text in side]
        reader = open_reader(f"{tuned[kind]}@{tower}", OPTIONS)
        place = reader.model.depth, own_pooling(reader.model)
        read = reader.read(inputs, "", [place]).vectors[place]
        given = plain.encode([open_image(one) if isinstance(one, ImageFile) else one for one in inputs])
        assert np.abs(read - given).max() <= 1e-5


@pytest.mark.parametrize("kind", TOWER_KINDS)
def test_transformers_loads_the_folder_whole(
    tuned: dict[str, Path], bases: dict[str, Path], drawn: Path, kind: str
) -> None:
    model, report = AutoModel.from_pretrained(tuned[kind], output_loading_info=True)
    assert not any(report.values())
    processor = AutoProcessor.from_pretrained(tuned[kind])
    images = [open_image(image) for _, image in load_dataset(str(drawn), "test").documents]  # type: ignore[arg-type]
    with torch.inference_mode():
        made = model.get_image_features(**processor(images=images, return_tensors="pt")).pooler_output
    assert np.abs(SentenceTransformer(str(tuned[kind]), device="cpu").encode(images) - made.numpy()).max() <= 1e-5
    left, right = (load_file(folder / "model.safetensors") for folder in (tuned[kind], bases[kind]))
    assert left.keys() == right.keys()
    assert torch.equal(left["logit_scale"], right["logit_scale"])
    assert not torch.equal(*(side["vision_model.encoder.layers.0.mlp.fc1.weight"] for side in (left, right)))


def test_the_folder_says_what_it_has_seen(tuned: dict[str, Path], bases: dict[str, Path], drawn: Path) -> None:
    learned = read_learned(tuned["clip"])
    assert learned.labels == ("train",)
    for way in ("", ":captions"):
        assert learned.saw(load_dataset(f"{drawn}{way}", "train"))
        assert not learned.saw(load_dataset(f"{drawn}{way}", "test"))
    card = (tuned["clip"] / "README.md").read_text()
    assert "All weights were trained on shapes (16 labelled rows)" in card
    assert "images with captions, one tower for each" in card
    assert "rank 4 in the linear maps of every block were" in (tuned["siglip"] / "README.md").read_text()
    assert json.loads((tuned["clip"] / "surgery.json").read_text())["from"] == str(bases["clip"])
    assert not (tuned["clip"] / "adaptor.json").exists()


def test_a_tuned_folder_is_tuned_again(tuned: dict[str, Path], drawn: Path, tmp_path: Path, unchecked: None) -> None:
    done = tune(tuned["siglip"], f"{drawn}:captions", tmp_path / "again", "--tower", "image", "--last-blocks", 1)
    assert done.exit_code == 0, done.stderr
    card = (tmp_path / "again" / "README.md").read_text()
    assert card.count("## Tuned") == 1
    assert card.count("Weights were trained on the rows of shapes") == 2
    assert "The weights of the last block of the image tower and of the modules after them were" in card
    assert read_learned(tmp_path / "again").labels == ("train",)
    sizes = json.loads((tmp_path / "again" / "sentence_bert_config.json").read_text())
    assert sizes["processing_kwargs"] == {"text": {"padding": "max_length"}}
    before, after = (load_file(folder / "model.safetensors") for folder in (tuned["siglip"], tmp_path / "again"))
    changed = {name for name, tensor in before.items() if not torch.equal(tensor, after[name])}
    assert changed
    parts = ("vision_model.encoder.layers.2.", "vision_model.post_layernorm.", "vision_model.head.")
    assert all(name.startswith(parts) for name in changed)


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the fresh process out where it is not what is tested: it takes seconds."""
    monkeypatch.setattr("surgery.saving.fresh_process.check_pair", lambda *_, **__: None)


@pytest.mark.parametrize("part", ["vision_model.post_layernorm.bias", "text_model.final_layer_norm.bias"])
def test_a_tower_that_is_saved_otherwise_than_it_is_is_noticed(
    tuned: dict[str, Path], tmp_path: Path, part: str
) -> None:
    folder = shutil.copytree(tuned["clip"], tmp_path / "other")
    model = open_trainable(str(folder), tmp_path).model
    assert isinstance(model, PairedModel)
    values = load_file(folder / "model.safetensors")
    save_file({**values, part: values[part] + 0.1}, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="vectors differ"):
        check_pair(folder, cast(Encoder, model), cast(Encoder, model))


def test_an_interrupted_tuning_goes_on_and_another_image_is_another_training(
    bases: dict[str, Path], drawn: Path, tmp_path: Path, unchecked: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def stopping(*kept: Path) -> Iterator[Any]:
        yield Interrupted(3)

    data = shutil.copytree(drawn, tmp_path / "shapes")
    kept = ("--checkpoint-dir", tmp_path / "kept")
    whole = tune(bases["clip"], data, tmp_path / "whole")
    assert whole.exit_code == 0, whole.stderr
    with monkeypatch.context() as patch:
        patch.setattr("encoder_surgery.adaptors_commands.tune.working", stopping)
        stopped = tune(bases["clip"], data, tmp_path / "out", *kept)
        assert stopped.exit_code != 0
        assert (tmp_path / "kept" / "round-1").is_dir()
    (tmp_path / "elsewhere").mkdir()
    moved = data.rename(tmp_path / "elsewhere" / "shapes")
    steps = spy_steps(monkeypatch)
    resumed = tune(bases["clip"], moved, tmp_path / "out", *kept)
    assert resumed.exit_code == 0, resumed.stderr
    assert len(steps) == 2
    left, right = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "out"))
    assert all(torch.equal(tensor, right[name]) for name, tensor in left.items())
    names = [json.loads(line)["image"] for line in (moved / "captions.jsonl").read_text().splitlines()]
    shutil.copy(moved / names[0], moved / names[1])
    other = tune(bases["clip"], moved, tmp_path / "other", *kept)
    assert other.exit_code == 2
    assert "another" in other.stderr


def _refused(result: Result, *parts: str) -> None:
    assert result.exit_code == 2, result.stderr
    told = result.stderr.rpartition("error:")[2].strip()
    assert len(told.splitlines()) <= 2
    assert all(part in told for part in parts), told


@pytest.mark.parametrize(
    ("args", "part"),
    [
        (("--loss", "simcse"), "'simcse' puts both sides of a pair into one column"),
        (("--loss", "batch-hard-triplet"), "choose infonce or alignment-anisotropy"),
        (("--loss", "gist", "--guide", "minilm"), "'gist' is for text encoders"),
        (("--wrap", "adaptive-layer"), "'adaptive-layer' is for text encoders"),
        (("--loss", "cosent"), "all its labels are 1"),
        (("--loss", "margin-mse"), "the loss 'margin-mse' cannot use"),
        (("--loss", "margin-mse", "--cross-encoder", "nobody/knows"), "a cross-encoder scores pairs of texts"),
        (("--max-tokens", 8), "leave out --max-tokens"),
    ],
)
def test_what_two_towers_cannot_be_tuned_with_is_refused_in_a_line(
    bases: dict[str, Path], drawn: Path, tmp_path: Path, args: tuple[str, ...], part: str
) -> None:
    _refused(tune(bases["clip"], drawn, tmp_path / "out", *args), part)
    assert not (tmp_path / "out").exists()


def test_a_tower_or_an_encoder_of_texts_or_texts_alone_are_refused_in_a_line(
    bases: dict[str, Path], drawn: Path, tmp_path: Path, tiny_folder: Callable[[str], Path]
) -> None:
    clip, bert, out = bases["clip"], tiny_folder("bert"), tmp_path / "out"
    _refused(tune(f"{clip}@image", drawn, out), "is one tower of a model, and both are trained", f"whole model, {clip}")
    texts_only = f"'shapes' has images, and '{bert}' supports only text: choose a model with an image tower"
    _refused(tune(bert, drawn, out), texts_only)
    _refused(tune(clip, pairs_file(), out), "'pairs.jsonl' has only texts", "a folder of images with captions")
    _refused(tune(bert, pairs_file(), out, "--tower", "text"), "is not a two-tower model: leave it out")
    lines = (drawn / "captions.jsonl").read_text().splitlines()
    shutil.copytree(drawn, tmp_path / "untrained")
    write_lines(tmp_path / "untrained" / "captions.jsonl", [line for line in lines if '"test"' in line])
    _refused(tune(clip, tmp_path / "untrained", out), "train")


def test_healing_is_for_encoders_of_texts(
    bases: dict[str, Path], tuned: dict[str, Path], drawn: Path, tmp_path: Path
) -> None:
    heal = ("-d", drawn, "-o", tmp_path / "out", "--no-store")
    for folder in (bases["clip"], tuned["clip"]):
        _refused(run_command("heal", folder, *heal), "is a two-tower model, and healing is for text encoders")
