"""Half precision: weights are loaded in the dtype they are used in, and checked as strictly as in float32."""

import json
import shutil
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import torch
from sentence_transformers.sentence_transformer.modules import Dense
from text_families import write_family
from torch import Tensor, nn

from probe.encoding.opening import load_encoder
from probe.errors import ModelError
from probe.layers.full_precision import full_precision
from probe.models import hashes, loading, own_vectors, pipeline
from probe.models.hashes import hash_modules
from probe.models.info import ModelFacts
from probe.models.loaded import LoadedModel
from probe.models.loading import load_model
from probe.models.options import LoadOptions

# Of buffers made from the config, of weights read by name, of kernels that know no bfloat16, and of batches by length.
FAMILIES = ["bert", "modernbert", "t5", "deberta", "fnet"]
# Hashes are of the weights that are used.
HASHES = ("state_hashes", "head_hash", "settings_hash")


def load(folder: Path, dtype: str = "bfloat16") -> LoadedModel:
    loading._FACTS.clear()  # every load is checked
    return load_model(str(folder), LoadOptions(dtype=dtype, device="cpu"))


def tensors(module: nn.Module) -> dict[str, Tensor]:
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_is_that_loaded_in_float32_and_rounded(
    family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_family(tmp_path / family, family)
    half = load(folder)
    exact = pipeline.load_pipeline
    monkeypatch.setattr(pipeline, "load_pipeline", lambda files, dtype: exact(files))
    rounded = load(folder)
    expected, found = tensors(rounded.module), tensors(half.module)
    assert expected.keys() == found.keys()
    for name, tensor in expected.items():
        assert tensor.dtype == found[name].dtype
        assert torch.equal(tensor, found[name]), name
    names = [field.name for field in fields(ModelFacts) if field.name not in HASHES]
    assert {name: getattr(half, name) for name in names} == {name: getattr(rounded, name) for name in names}


def test_weights_are_never_in_float32(tiny_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: set[torch.dtype] = set()
    compare = own_vectors._compare

    def spy(held: Any, *rest: Any) -> Any:
        seen.update(parameter.dtype for parameter in held[0].auto_model.parameters())
        return compare(held, *rest)

    monkeypatch.setattr(own_vectors, "_compare", spy)
    load(tiny_folder("bert"))
    assert seen == {torch.bfloat16}


def test_a_difference_to_sentence_transformers_is_found_that_bfloat16_would_hide(
    tiny_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    embed = own_vectors.TailModules.embed
    monkeypatch.setattr(own_vectors.TailModules, "embed", lambda *args: embed(*args) * 1.001)
    with pytest.raises(ModelError, match="differ by"):
        load(tiny_folder("bert"))


def test_a_dense_layer_stays_in_float32_and_in_the_models_own_vectors(
    tiny_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = tmp_path / "dense"
    shutil.copytree(tiny_folder("bert"), folder)
    listed = json.loads((folder / "modules.json").read_text())
    listed.append(
        {"idx": len(listed), "name": "dense", "path": "2_Dense", "type": "sentence_transformers.models.Dense"}
    )
    (folder / "modules.json").write_text(json.dumps(listed))
    (folder / "2_Dense").mkdir()
    Dense(json.loads((folder / "config.json").read_text())["hidden_size"], 5).save(str(folder / "2_Dense"))
    half, exact = load(folder), load(folder, "float32")
    assert (half.pooling, half.own_width, half.refusal) == (exact.pooling, 5, "")
    assert {parameter.dtype for parameter in half.pipeline[-1].parameters()} == {torch.float32}
    rough, fine = (
        load_encoder(str(folder), LoadOptions(dtype=dtype, device="cpu")).encode_query(["apple bird"])
        for dtype in ("bfloat16", "float32")
    )
    assert torch.allclose(torch.from_numpy(rough), torch.from_numpy(fine), atol=0.05)


def test_arithmetic_is_that_of_float32_and_a_table_is_not_converted() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(50, 8), nn.Linear(8, 8), nn.GELU(), nn.LayerNorm(8))
    half = nn.Sequential(nn.Embedding(50, 8), nn.Linear(8, 8), nn.GELU(), nn.LayerNorm(8)).bfloat16()
    half.load_state_dict(model.state_dict())
    model.load_state_dict(half.state_dict())
    ids, converted = torch.arange(4)[None], []
    with torch.inference_mode(), full_precision(half):
        found = half(ids)
        assert half[1](torch.ones(1, 8, dtype=torch.bfloat16)).to(torch.bfloat16).dtype == torch.float32
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Tensor, "float", lambda tensor: converted.append(tensor.shape) or tensor.to(torch.float32))
            half[0](ids)
    assert torch.equal(found, model(ids))
    assert half[0].weight.dtype == torch.bfloat16
    assert torch.Size([50, 8]) not in converted


def test_hashes_do_not_depend_on_the_parts_that_are_converted(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(40, 30).bfloat16()
    whole = hash_modules([layer], None)
    monkeypatch.setattr(hashes, "_PART", 7)
    assert hash_modules([layer], None) == whole
    assert hash_modules([layer.float()], None) == whole
