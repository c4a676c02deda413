"""Which models give a text another vector beside longer ones; found on dummies, the model left as it was."""

from pathlib import Path
from typing import Any

import pytest
import torch
from text_families import write_family
from torch import Tensor, nn
from transformers import AutoModel

from probe.layers.padding import find_batching


def load(folder: Path, family: str, **changes: Any) -> nn.Module:
    model: nn.Module = AutoModel.from_pretrained(write_family(folder / family, family, **changes))
    return model.eval()


@pytest.mark.parametrize("family", ["fnet", "convbert", "mobilebert", "nystromformer", "yoso", "big_bird"])
def test_padding_that_leaks_is_seen(tmp_path: Path, family: str) -> None:
    assert find_batching(load(tmp_path, family), pad_id=1, longest=64) == "equal"


@pytest.mark.parametrize("family", ["bert", "mpnet", "longformer", "qwen3", "mamba", "modernbert", "esm"])
def test_padding_that_is_masked_is_none(tmp_path: Path, family: str) -> None:
    assert find_batching(load(tmp_path, family), pad_id=1, longest=64) == "padded"


class MeanOfBatch(nn.Module):
    """Adds the mean over all texts, as experts of a limited capacity mix them."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(40, 4)

    def get_input_embeddings(self) -> nn.Module:
        return self.words

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor]:
        hidden = self.words(input_ids)
        return (hidden + hidden.mean(),)


def test_texts_that_change_each_other_run_alone() -> None:
    assert find_batching(MeanOfBatch(), pad_id=0, longest=64) == "single"


def test_half_precision_is_no_leak(tmp_path: Path) -> None:
    half = load(tmp_path, "bert").to(torch.bfloat16)
    assert find_batching(half, pad_id=1, longest=64) == "padded"


def test_a_model_is_left_as_it_was(tmp_path: Path) -> None:
    model: Any = load(tmp_path, "big_bird")
    find_batching(model, pad_id=1, longest=64)
    assert model.attention_type == "block_sparse"


@pytest.mark.parametrize("longest", [1, 3, 5])
def test_very_short_inputs_are_no_fault(tmp_path: Path, longest: int) -> None:
    assert find_batching(load(tmp_path, "bert"), pad_id=1, longest=longest) == "padded"
