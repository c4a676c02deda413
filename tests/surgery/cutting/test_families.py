"""Every family of transformers for texts: its layers are read as they are, cut as they were read, or it is refused."""

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from text_families import FAMILIES, FEW, REFUSED, write_family
from tiny_models import make_texts

from probe.encoding.truncation import truncate
from probe.errors import CallError, ModelError
from probe.layers.capture import Capture
from probe.layers.unchanged import unchanged
from probe.models.loaded import LoadedModel
from probe.models.loading import load_model
from probe.models.options import LoadOptions
from surgery.cutting.cut import cut
from surgery.saving.save import save

OPTIONS = LoadOptions(dtype="float32", device="cpu")
# transformers counts their states from the output of the first block.
SHIFTED = {"mamba", "mamba2", "falcon_mamba", "rwkv"}
EACH = [pytest.param(name, marks=() if name in FEW else pytest.mark.long) for name in sorted(FAMILIES)]
Folder = Callable[[str], Path]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    root = tmp_path_factory.mktemp("families")
    return cache(lambda family: write_family(root / family, family))


def inputs_of(model: LoadedModel) -> dict[str, torch.Tensor]:
    encoded = model.tokenizer(make_texts(1, longest=12), return_tensors="pt", return_token_type_ids=False)
    return {name: encoded[name] for name in ("input_ids", "attention_mask")}


def states(model: LoadedModel, inputs: dict[str, torch.Tensor]) -> dict[int, torch.Tensor]:
    wanted = {layer: ("mean",) for layer in range(model.depth + 1)}
    with Capture(model.module, model.stack, wanted) as capture, torch.inference_mode():
        return {layer: state for (layer, _), state in capture.run(inputs).items()}


def expected_states(model: LoadedModel, inputs: dict[str, torch.Tensor], shift: int) -> dict[int, torch.Tensor]:
    """transformers' own: the final norm is applied at every layer, and the last one is the model's output."""
    norm = model.stack.final_norm or torch.nn.Identity()
    with unchanged(model.module), torch.inference_mode():
        output: Any = model.module(**inputs, output_hidden_states=True, return_dict=True)
        hidden = {layer: norm(output.hidden_states[layer - shift]) for layer in range(shift, model.depth)}
    tokens = inputs["input_ids"].shape[1]
    return {k: h[:, :tokens].mean(dim=1) for k, h in {**hidden, model.depth: output.last_hidden_state}.items()}


def check(family: str, folder: Path, out: Path) -> None:
    model = load_model(str(folder), OPTIONS)
    inputs = inputs_of(model)
    found = states(model, inputs)
    for layer, state in expected_states(model, inputs, family in SHIFTED).items():
        assert torch.allclose(found[layer], state, atol=1e-5), f"layer {layer}"
    again = type(model.module).from_pretrained(save(cut(model, 1), out)).eval()
    again.config.use_cache = False
    with torch.inference_mode():
        output = again(**inputs).last_hidden_state[:, : inputs["input_ids"].shape[1]]
    assert float((output.mean(dim=1) - found[1]).abs().max()) <= 1e-5
    with truncate(model.module, 1) as shorter, torch.inference_mode():
        assert float((shorter(**inputs).last_hidden_state.mean(dim=1) - found[1]).abs().max()) <= 1e-5


@pytest.mark.parametrize("family", EACH)
def test_layers_are_read_and_cut_or_refused_in_a_line(folder: Folder, tmp_path: Path, family: str) -> None:
    if family not in REFUSED:
        check(family, folder(family), tmp_path / "cut")
        return
    with pytest.raises((CallError, ModelError), match=re.escape(REFUSED[family])) as refusal:
        check(family, folder(family), tmp_path / "cut")
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "cut").exists()
