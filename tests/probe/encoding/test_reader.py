"""The reader: every text through the model once, in its own row, at every place asked for."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import DEPTH, ENCODERS, PROMPTS, WIDTH, WORDS, count_hooks, make_texts, write_model, write_tokenizer
from torch import nn

from probe.encoding.encoders import HookpointEncoder
from probe.encoding.hookpoints import own_pooling, select_hookpoints
from probe.encoding.protocols import Encoder
from probe.encoding.reader import LayerReader
from probe.errors import CallError, ModelError
from probe.layers.hookpoint import LayerPooling
from probe.layers.pooling import POOLINGS
from probe.metrics.vectors import Embeddings
from probe.models.loaded import LoadedModel
from probe.models.loading import load_model
from probe.models.options import LoadOptions
from probe.models.pipeline import shadow_pipeline
from probe.models.tokenization import tokenize

LoadTiny = Callable[[str], LoadedModel]

EVERYWHERE = [(layer, pooling) for layer in range(DEPTH + 1) for pooling in POOLINGS]
TEXTS = make_texts(40)
BUDGET = 100


@pytest.fixture
def bert(tmp_path: Path) -> LoadedModel:
    """Return a model of its own, which a test may change."""
    return load_model(str(write_model(tmp_path)), LoadOptions(dtype="float32", device="cpu"))


def read(model: LoadedModel, texts: list[str], prompt: str = "", budget: int = BUDGET) -> dict[Any, Embeddings]:
    return LayerReader(model, budget).read(texts, prompt, EVERYWHERE).vectors


def strip_padding(ids: torch.Tensor, pad_id: int) -> list[tuple[int, ...]]:
    return [tuple(token for token in row if token != pad_id) for row in ids.tolist()]


def test_all_places_take_one_pass_over_the_texts(bert: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    passes: list[int] = []
    batches: list[int] = []
    rows: list[tuple[int, ...]] = []
    block = bert.stack.blocks[0]
    forward: Callable[..., Any] = block.forward

    def spy(hidden: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        passes.append(len(hidden))
        return forward(hidden, *args, **kwargs)

    monkeypatch.setattr(block, "forward", spy)
    bert.module.get_submodule("embeddings.word_embeddings").register_forward_pre_hook(
        lambda module, args: rows.extend(strip_padding(args[0], bert.tokenizer.pad_token_id))
    )
    LayerReader(bert, BUDGET).read(TEXTS, "", EVERYWHERE, on_batch=batches.append)
    assert passes == batches
    assert len(passes) > 3
    assert sorted(rows) == sorted(tuple(ids) for ids in tokenize(bert.tokenizer, TEXTS, bert.max_tokens).ids)


def test_deepest_place_decides_how_far_the_model_runs(bert: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("a block above the deepest place ran")

    monkeypatch.setattr(bert.stack.blocks[2], "forward", refuse)
    LayerReader(bert).read(TEXTS, "", [(2, "mean"), (0, "cls")])
    with pytest.raises(AssertionError):
        LayerReader(bert).read(TEXTS, "", [(3, "mean")])


def test_reading_leaves_no_hook_behind(bert: LoadedModel) -> None:
    LayerReader(bert).read(TEXTS, "", EVERYWHERE)
    assert count_hooks(bert.module) == 0


@pytest.mark.parametrize("family", ENCODERS)
def test_vectors_are_those_of_the_model_itself(family: str, load_tiny: LoadTiny) -> None:
    model = load_tiny(family)
    vectors = read(model, TEXTS)
    norm = model.stack.final_norm or nn.Identity()
    for row in range(0, len(TEXTS), 7):
        inputs = model.tokenizer(TEXTS[row], return_tensors="pt", return_token_type_ids=False)
        with torch.inference_mode():
            hidden = model.module(**inputs, output_hidden_states=True).hidden_states
            states = [*map(norm, hidden[:-1]), hidden[-1]]
        for layer, pooling in EVERYWHERE:
            expected = POOLINGS[pooling](states[layer], inputs["attention_mask"])[0].numpy()
            assert np.abs(vectors[layer, pooling][row] - expected).max() <= 1e-5


@pytest.mark.parametrize("family", ENCODERS)
def test_neighbours_and_order_do_not_change_a_text(family: str, load_tiny: LoadTiny) -> None:
    model = load_tiny(family)
    together = read(model, TEXTS)
    turned = read(model, TEXTS[::-1], budget=1000)
    alone = read(model, TEXTS, budget=1)
    for place in EVERYWHERE:
        assert np.abs(together[place] - turned[place][::-1]).max() <= 1e-5
        assert np.abs(together[place] - alone[place]).max() <= 1e-5


def test_same_text_twice_has_the_same_vector(load_tiny: LoadTiny) -> None:
    vectors = read(load_tiny("bert"), ["apple", "bird boat", "apple"])[DEPTH, "mean"]
    assert np.abs(vectors[0] - vectors[2]).max() <= 1e-6
    assert np.abs(vectors[0] - vectors[1]).max() > 0.01


def test_prompt_goes_before_every_text(load_tiny: LoadTiny) -> None:
    model = load_tiny("bert")
    prompted = read(model, TEXTS, prompt="query: ")
    written = read(model, [f"query: {text}" for text in TEXTS])
    assert all(np.array_equal(prompted[place], written[place]) for place in EVERYWHERE)


def test_vectors_are_float32_of_the_models_width(load_tiny: LoadTiny) -> None:
    for vectors in read(load_tiny("electra"), TEXTS).values():
        assert vectors.shape == (len(TEXTS), WIDTH)
        assert vectors.dtype == np.float32


def test_no_texts_are_no_rows(load_tiny: LoadTiny) -> None:
    assert read(load_tiny("bert"), [])[0, "cls"].shape == (0, WIDTH)


def test_text_without_a_token_is_zeros_and_moves_no_other(bert: LoadedModel, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    bare = AutoTokenizer.from_pretrained(write_tokenizer(tmp_path / "bare", wrap=False))
    pipeline = shadow_pipeline(bert.pipeline)
    pipeline[0].processor = bare
    model = replace(bert, tokenizer=bare, pipeline=pipeline)
    vectors = read(model, ["apple", "", "bird boat", ""])[2, "max"]
    assert not vectors[[1, 3]].any()
    assert np.abs(vectors[[0, 2]] - read(model, ["apple", "bird boat"])[2, "max"]).max() <= 1e-6


def test_tokenizer_without_padding_token_reads_alike(bert: LoadedModel, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    unpadded = AutoTokenizer.from_pretrained(write_tokenizer(tmp_path / "unpadded"))
    unpadded.pad_token = None
    assert unpadded.pad_token_id is None
    expected = read(bert, TEXTS)
    pipeline = shadow_pipeline(bert.pipeline)
    pipeline[0].processor = unpadded
    vectors = read(replace(bert, tokenizer=unpadded, pipeline=pipeline), TEXTS)
    assert all(np.array_equal(vectors[place], expected[place]) for place in EVERYWHERE)


def test_cut_texts_are_counted_prompt_included(load_tiny: LoadTiny) -> None:
    model = load_tiny("bert", max_tokens=10)
    texts = [" ".join(WORDS[:n]) for n in (6, 7, 8, 9, 20)]
    assert LayerReader(model).read(texts, "", [(0, "cls")]).truncated == 2
    assert LayerReader(model).read(texts, "apple bird ", [(0, "cls")]).truncated == 4


def test_progress_is_told_batch_by_batch(load_tiny: LoadTiny) -> None:
    done: list[int] = []
    LayerReader(load_tiny("bert"), BUDGET).read(TEXTS, "", [(0, "cls")], on_batch=done.append)
    assert sum(done) == len(TEXTS)
    assert len(done) > 3


def test_time_is_told_per_layer_and_rises(load_tiny: LoadTiny) -> None:
    seconds = LayerReader(load_tiny("bert"), BUDGET).read(TEXTS, "", [(3, "mean"), (1, "mean")]).seconds
    assert set(seconds) == {1, 3}
    assert 0 < seconds[1] < seconds[3]


def test_values_that_are_not_finite_name_the_place(bert: LoadedModel) -> None:
    with torch.no_grad():
        next(bert.stack.blocks[1].parameters()).fill_(float("inf"))
    LayerReader(bert).read(TEXTS, "", [(1, "mean")])
    with pytest.raises(ModelError, match=r"the values of .*@2:mean are not finite: try --dtype float32"):
        LayerReader(bert).read(TEXTS, "", [(1, "mean"), (2, "mean")])


def test_hookpoint_encoder_is_an_encoder_with_the_models_prompts(load_tiny: LoadTiny) -> None:
    model = load_tiny("bert")
    encoder = HookpointEncoder(LayerReader(model), 2, "cls")
    assert isinstance(encoder, Encoder)
    queries = read(model, TEXTS, PROMPTS["query"])[2, "cls"]
    documents = read(model, TEXTS, PROMPTS["document"])[2, "cls"]
    assert np.abs(encoder.encode_query(TEXTS) - queries).max() <= 1e-5
    assert np.abs(encoder.encode_document(TEXTS) - documents).max() <= 1e-5
    assert np.abs(queries - documents).max() > 0.01


@pytest.mark.parametrize(
    ("layers", "poolings", "expected"),
    [
        ("last", ("own",), [(3, "mean")]),
        ("0-1", ("own",), [(0, "mean"), (1, "mean")]),
        ("3,1", ("max",), [(1, "max"), (3, "max")]),
        ("1", ("own", "cls"), [(1, "mean"), (1, "cls")]),
        ("1", ("own", "mean"), [(1, "mean")]),
        ("0,1", ("cls", "last"), [(0, "cls"), (1, "cls"), (0, "last"), (1, "last")]),
        ("all", ("cls",), [(0, "cls"), (1, "cls"), (2, "cls"), (3, "cls")]),
    ],
)
def test_layers_and_poolings_expand_to_hookpoints(
    layers: str, poolings: tuple[str, ...], expected: list[LayerPooling], load_tiny: LoadTiny
) -> None:
    model = load_tiny("bert")
    hookpoints = select_hookpoints(model, layers, poolings)
    assert [hookpoint.layer_pooling for hookpoint in hookpoints] == expected
    assert {hookpoint.model for hookpoint in hookpoints} == {model.source.name}


def test_layer_out_of_range_is_refused(load_tiny: LoadTiny) -> None:
    with pytest.raises(CallError, match="layers 0 to 3"):
        select_hookpoints(load_tiny("bert"), "4")


def test_unknown_pooling_is_refused(load_tiny: LoadTiny) -> None:
    with pytest.raises(CallError, match="unknown pooling 'median'"):
        select_hookpoints(load_tiny("bert"), "all", ("median",))


def test_own_pooling_that_is_none_of_ours_asks_for_one(load_tiny: LoadTiny) -> None:
    model = replace(load_tiny("bert"), pooling=None, refusal="sentence-transformers gives no vectors of it")
    with pytest.raises(CallError, match=r"no vectors.*--pooling"):
        own_pooling(model)
    with pytest.raises(CallError, match="--pooling"):
        select_hookpoints(model, "1")
    assert select_hookpoints(model, "1", ("mean",))[0].layer_pooling == (1, "mean")


def test_own_pooling_is_the_folders(load_tiny: LoadTiny) -> None:
    assert [own_pooling(load_tiny(family)) for family in ("bert", "electra", "qwen3")] == ["mean", "cls", "last"]
