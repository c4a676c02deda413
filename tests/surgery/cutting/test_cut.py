"""The cut law: a cut model gives what the probe saw, for every family, at every depth, saved and loaded by others."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from tiny_models import DEPTH, ENCODERS, count_hooks, make_texts, write_model, write_sentence_transformer
from torch import nn

from probe.encoding.hookpoints import own_pooling
from probe.encoding.reader import LayerReader
from probe.errors import CallError, ModelError
from probe.metrics.vectors import Embeddings
from probe.models.loaded import LoadedModel
from probe.models.loading import load_model
from probe.models.options import LoadOptions
from probe.models.published_config import read_model_config
from surgery.cutting import cut as cut_module
from surgery.cutting.blocks import parse_blocks
from surgery.cutting.cut import cut, keep
from surgery.saving.save import save

ROOT = Path(__file__).parents[3]
TEXTS = make_texts(12)
LoadTiny = Callable[[str], LoadedModel]
DEPTHS = range(1, DEPTH + 1)

# Neither this package nor its source can be imported there.
CLIENT = """
import json, sys
import numpy, torch
from importlib.util import find_spec
assert find_spec("probe") is None and find_spec("surgery") is None
from sentence_transformers import SentenceTransformer
from transformers import AutoModel
folders, texts, out = json.load(open(sys.argv[1])), json.load(open(sys.argv[2])), sys.argv[3]
report = {}
for name, folder in folders.items():
    model = SentenceTransformer(folder, device="cpu")
    numpy.save(f"{out}/{name}.npy", model.encode(texts, show_progress_bar=False))
    loaded, info = AutoModel.from_pretrained(folder, output_loading_info=True)
    layers = loaded.config.get_text_config().num_hidden_layers
    report[name] = {"missing": sorted(info["missing_keys"]), "layers": layers}
print(json.dumps(report))
"""


def vectors_at(model: LoadedModel, layer: int, pooling: str) -> Embeddings:
    return LayerReader(model).read(TEXTS, "", [(layer, pooling)]).vectors[layer, pooling]


@pytest.mark.parametrize("family", ENCODERS)
@pytest.mark.parametrize("after", DEPTHS)
def test_cut_law_in_process(load_tiny: LoadTiny, family: str, after: int) -> None:
    model = load_tiny(family)
    expected = vectors_at(model, after, "mean")
    shorter = cut(model, after)
    assert shorter.depth == after
    assert np.abs(vectors_at(shorter, after, "mean") - expected).max() <= 1e-5
    assert shorter.parameters == model.parameters[: after + 1]


@pytest.fixture(scope="module")
def saved(load_tiny: LoadTiny, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every family's cut at every depth, saved with its own pooling."""
    root = tmp_path_factory.mktemp("saved")
    return {
        f"{family}-{after}": save(cut(load_tiny(family), after), root / f"{family}-{after}")
        for family in ENCODERS
        for after in DEPTHS
    }


@pytest.fixture(scope="module")
def clients(saved: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """What plain sentence-transformers and transformers make of the folders, where this package is not importable."""
    root = tmp_path_factory.mktemp("client")
    (root / "folders.json").write_text(json.dumps({name: str(folder) for name, folder in saved.items()}))
    (root / "texts.json").write_text(json.dumps(TEXTS))
    # -I leaves out the current folder and PYTHONPATH; the editable install is hidden by a finder that knows nothing.
    hide = "import sys; sys.meta_path = [f for f in sys.meta_path if 'editable' not in repr(f).lower()]\n"
    hide += f"sys.path = [p for p in sys.path if 'editable' not in p and p != {str(ROOT)!r}]\n"
    done = subprocess.run(
        [sys.executable, "-I", "-c", hide + CLIENT, root / "folders.json", root / "texts.json", root],
        capture_output=True,
        text=True,
        check=False,
        cwd=root,
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1]), root


@pytest.mark.parametrize("family", ENCODERS)
@pytest.mark.parametrize("after", DEPTHS)
def test_cut_law_saved_and_loaded_by_plain_sentence_transformers(
    load_tiny: LoadTiny, clients: tuple[dict[str, Any], Path], family: str, after: int
) -> None:
    model = load_tiny(family)
    expected = vectors_at(model, after, own_pooling(model))
    found = np.load(clients[1] / f"{family}-{after}.npy")
    assert np.abs(found - expected).max() <= 1e-5


@pytest.mark.parametrize("family", ENCODERS)
@pytest.mark.parametrize("after", DEPTHS)
def test_a_saved_cut_has_no_random_tensor_in_plain_transformers(
    load_tiny: LoadTiny, clients: tuple[dict[str, Any], Path], family: str, after: int
) -> None:
    report = clients[0][f"{family}-{after}"]
    assert report["layers"] == after
    assert not [key for key in report["missing"] if load_tiny(family).stack.needs(key)]


@pytest.mark.parametrize("family", ENCODERS)
def test_our_loader_reads_the_folder_alike(load_tiny: LoadTiny, saved: dict[str, Path], family: str) -> None:
    model = load_tiny(family)
    again = load_model(str(saved[f"{family}-2"]), LoadOptions(dtype="float32", device="cpu"))
    assert (again.depth, again.pooling, again.max_tokens) == (2, model.pooling, model.max_tokens)
    assert (again.query_prompt, again.document_prompt) == (model.query_prompt, model.document_prompt)
    for layer in range(3):
        assert np.abs(vectors_at(again, layer, "cls") - vectors_at(model, layer, "cls")).max() <= 1e-5


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    with safe_open(folder / "model.safetensors", framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


@pytest.mark.parametrize("family", ENCODERS)
def test_the_folder_shrinks_by_exactly_the_removed_blocks(
    load_tiny: LoadTiny, saved: dict[str, Path], family: str
) -> None:
    model = load_tiny(family)
    before, after = tensors(model.source.folder), tensors(saved[f"{family}-1"])
    removed = {name: t for name, t in before.items() if any(f"{model.stack.path}.{i}." in name for i in (1, 2))}
    assert set(before) - set(after) == set(removed)
    assert all(torch.equal(before[name], tensor) for name, tensor in after.items())


@pytest.mark.parametrize("family", ENCODERS)
def test_kept_blocks_keep_their_kind_and_their_weights(load_tiny: LoadTiny, tmp_path: Path, family: str) -> None:
    model = load_tiny(family)
    chosen = keep(model, [1, 3])
    folder = save(chosen, tmp_path / "kept")
    again = load_model(str(folder), LoadOptions(dtype="float32", device="cpu"))
    assert np.abs(vectors_at(again, 2, "mean") - vectors_at(chosen, 2, "mean")).max() <= 1e-5
    kinds = getattr(model.module.config, "layer_types", None)
    if kinds:
        assert again.module.config.layer_types == [kinds[0], kinds[2]]


def test_a_cut_of_a_cut_is_a_cut_of_the_files(load_tiny: LoadTiny, tmp_path: Path) -> None:
    model = load_tiny("bert")
    twice = keep(keep(model, [1, 3]), [2])
    assert (twice.blocks, twice.original_depth) == ((3,), 3)
    again = load_model(str(save(twice, tmp_path / "third")), LoadOptions(dtype="float32", device="cpu"))
    assert np.abs(vectors_at(again, 1, "mean") - vectors_at(twice, 1, "mean")).max() <= 1e-5


def test_the_input_is_never_touched(tiny_folder: Callable[[str], Path]) -> None:
    model = load_model(str(tiny_folder("modernbert")), LoadOptions(dtype="float32", device="cpu"))
    before = {name: tensor.clone() for name, tensor in model.module.state_dict().items()}
    config = model.module.config.to_dict()
    shorter = cut(model, 1)
    with torch.no_grad():
        for parameter in shorter.module.parameters():
            parameter.zero_()
    assert model.module.config.to_dict() == config
    assert len(model.stack.blocks) == DEPTH
    assert all(torch.equal(before[name], tensor) for name, tensor in model.module.state_dict().items())
    assert count_hooks(model.module) == count_hooks(shorter.module) == 0


def test_another_cut_has_another_key(load_tiny: LoadTiny) -> None:
    model = load_tiny("bert")
    assert len({model.weights_hash, cut(model, 1).weights_hash, cut(model, 2).weights_hash}) == 3


@pytest.mark.parametrize("after", [0, 4, -1])
def test_a_cut_outside_the_model_is_a_wrong_call(load_tiny: LoadTiny, after: int) -> None:
    with pytest.raises(CallError, match="blocks 1 to 3"):
        cut(load_tiny("bert"), after)


@pytest.mark.parametrize("blocks", [[], [0], [4], [1, 1], [2, 1]])
def test_wrong_blocks_are_a_wrong_call(load_tiny: LoadTiny, blocks: list[int]) -> None:
    with pytest.raises(CallError):
        keep(load_tiny("bert"), blocks)


@pytest.mark.parametrize(("text", "blocks"), [("1", (1,)), ("1,3", (1, 3)), ("1-3, 5", (1, 2, 3, 5)), ("3,1", (3, 1))])
def test_blocks_as_typed(text: str, blocks: tuple[int, ...]) -> None:
    assert parse_blocks(text) == blocks


@pytest.mark.parametrize("text", ["", "a", "1,,2", "1-", "all", "-1", "1-999999999999"])
def test_blocks_that_are_none_are_a_wrong_call(text: str) -> None:
    with pytest.raises(CallError):
        parse_blocks(text)


def test_blocks_without_the_first_are_refused_where_it_is_another_kind(load_tiny: LoadTiny) -> None:
    with pytest.raises(ModelError, match="keep block 1"):
        keep(load_tiny("modernbert"), [2, 3])


def test_a_cut_that_gives_other_states_is_refused_in_process(
    load_tiny: LoadTiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_blocks = cut_module._copy_blocks

    def spoil(model: LoadedModel, chosen: Sequence[int]) -> nn.Module:
        module = copy_blocks(model, chosen)
        with torch.no_grad():
            next(module.get_submodule(model.stack.path).parameters()).add_(0.1)
        return module

    monkeypatch.setattr(cut_module, "_copy_blocks", spoil)
    with pytest.raises(ModelError, match="states differ from layer 2"):
        cut(load_tiny("bert"), 2)


def test_a_saved_folder_names_what_it_was_cut_from(saved: dict[str, Path], load_tiny: LoadTiny) -> None:
    folder = saved["bert-2"]
    told = json.loads((folder / "surgery.json").read_text())
    assert (told["blocks"], told["original_depth"], told["pooling"]) == ([1, 2], 3, "mean")
    card = (folder / "README.md").read_text()
    assert "Blocks 1, 2 of the 3 blocks" in card
    assert load_tiny("bert").weights_hash in card


def test_a_normalizing_model_stays_one(load_tiny: LoadTiny, tmp_path: Path) -> None:
    folder = write_sentence_transformer(write_model(tmp_path / "n", "bert"), "mean", {}, extra_modules=["Normalize"])
    model = load_model(str(folder), LoadOptions(dtype="float32", device="cpu"))
    out = save(cut(model, 2), tmp_path / "out")
    assert read_model_config(out).normalizes
    names = [module["type"].rpartition(".")[2] for module in json.loads((out / "modules.json").read_text())]
    assert names == ["Transformer", "Pooling", "Normalize"]
