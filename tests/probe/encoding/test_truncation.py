"""`truncate`: the vectors of a cut model while a block of code runs, and the whole model again after it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from tiny_models import DEPTH, ENCODERS, count_hooks, make_texts
from torch import nn

from probe.encoding.encoders import HookpointEncoder
from probe.encoding.hookpoints import own_pooling
from probe.encoding.reader import LayerReader
from probe.encoding.truncation import truncate
from probe.errors import CallError, ModelError
from probe.metrics.vectors import Embeddings
from probe.models.loaded import LoadedModel

TEXTS = make_texts(12)
LoadTiny = Callable[[str], LoadedModel]


@pytest.fixture(scope="module")
def plain(tiny_folder: Callable[[str], Path]) -> Callable[[str], SentenceTransformer]:
    return lambda family: SentenceTransformer(str(tiny_folder(family)), device="cpu")


def encode(model: SentenceTransformer) -> Embeddings:
    return np.asarray(model.encode(TEXTS, show_progress_bar=False))


@pytest.mark.parametrize("family", ENCODERS)
def test_a_truncated_encoder_gives_what_the_probe_saw(
    load_tiny: LoadTiny, plain: Callable[[str], SentenceTransformer], family: str
) -> None:
    loaded, model = load_tiny(family), plain(family)
    whole = encode(model)
    for after in range(1, DEPTH + 1):
        place = (after, own_pooling(loaded))
        expected = LayerReader(loaded).read(TEXTS, "", [place]).vectors[place]
        with truncate(model, after=after) as shorter:
            assert shorter is model
            assert np.abs(encode(shorter) - expected).max() <= 1e-5
    assert (encode(model) == whole).all()
    assert count_hooks(model) == 0


def test_the_blocks_above_never_run(plain: Callable[[str], SentenceTransformer]) -> None:
    model = plain("bert")
    ran: list[int] = []
    for number, block in enumerate(model[0].auto_model.encoder.layer, start=1):
        block.register_forward_hook(lambda module, args, output, number=number: ran.append(number))
    with truncate(model, after=2):
        ran.clear()  # finding the blocks runs them once
        model.encode(["a"], show_progress_bar=False)
    assert ran == [1, 2]


def test_a_transformers_model_gives_its_output_shortened(load_tiny: LoadTiny) -> None:
    module = load_tiny("bert").module
    inputs = {"input_ids": torch.arange(3, 7)[None], "attention_mask": torch.ones(1, 4, dtype=torch.long)}
    with torch.inference_mode():
        expected = module(**inputs, output_hidden_states=True).hidden_states[1]
        with truncate(module, after=1):
            assert torch.equal(module(**inputs).last_hidden_state, expected)
            assert torch.equal(module(**inputs, return_dict=False)[0], expected)


def test_an_error_inside_the_block_is_not_masked_and_leaves_the_model_whole(
    plain: Callable[[str], SentenceTransformer],
) -> None:
    model = plain("mpnet")
    whole = encode(model)
    with pytest.raises(ZeroDivisionError), truncate(model, after=1):
        _ = 1 / 0
    assert (encode(model) == whole).all()
    assert count_hooks(model) == 0


def test_a_forward_somebody_else_replaced_is_there_again(load_tiny: LoadTiny) -> None:
    module = load_tiny("bert").module
    replaced = module.forward
    module.forward = replaced
    with truncate(module, after=1):
        assert module.forward is not replaced
    assert vars(module).pop("forward") is replaced


def test_a_hookpoint_is_read_at_that_layer(model: LoadedModel) -> None:
    reader = LayerReader(model)
    with truncate(HookpointEncoder(reader, 3, "max"), after=1) as shorter:
        expected = HookpointEncoder(reader, 1, "max").encode_query(TEXTS)
        assert (shorter.encode_query(TEXTS) == expected).all()


@pytest.mark.parametrize("after", [0, DEPTH + 1, -1])
def test_a_block_that_is_not_there_is_a_wrong_call(model: LoadedModel, after: int) -> None:
    for encoder in (model.module, HookpointEncoder(LayerReader(model), 3, "cls")):
        with pytest.raises(CallError, match="blocks 1 to 3"), truncate(encoder, after=after):
            pass


def test_what_holds_no_transformer_or_two_is_refused(model: LoadedModel, load_tiny: LoadTiny) -> None:
    two = nn.ModuleList([model.module, load_tiny("mpnet").module])
    for encoder in (nn.Linear(2, 2), two):
        with pytest.raises(ModelError), truncate(encoder, after=1):
            pass
