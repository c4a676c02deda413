"""A `SentenceTransformer` in memory is read as it is, and its keys tell of all that changes a vector."""

import gc
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Dense, Normalize
from sentence_transformers.sentence_transformer.modules import Pooling, StaticEmbedding
from tiny_models import DEPTH, WIDTH, make_texts

from probe.encoding.encoders import HookpointEncoder
from probe.encoding.reader import LayerReader
from probe.errors import CallError, ModelError, ProbeError
from probe.metrics.vectors import Embeddings, unit
from probe.models.loaded import LoadedModel
from probe.models.loading import load_model
from probe.models.options import LoadOptions
from probe.store.keys import shelf_parts
from surgery.cutting.cut import cut
from surgery.fusing.folder import save

TEXTS = [*make_texts(8), "RIVER Stone", "sun " * 50, ""]


@pytest.fixture
def held(tiny_folder: Callable[[str], Path]) -> SentenceTransformer:
    return SentenceTransformer(str(tiny_folder("bert")), device="cpu")


def key_of(model: LoadedModel) -> dict[str, Any]:
    return shelf_parts(model, model.as_document, "texts", token_budget=4096)


def own_row(model: LoadedModel) -> HookpointEncoder:
    assert model.pooling is not None
    return HookpointEncoder(LayerReader(model), model.depth, model.pooling)


def distance(first: Embeddings, second: Embeddings) -> float:
    return float(np.abs(unit(first) - unit(np.asarray(second))).max())


@pytest.mark.parametrize("family", ["bert", "mpnet", "modernbert", "electra", "qwen3"])
def test_the_whole_model_gives_what_the_object_gives(family: str, tiny_folder: Callable[[str], Path]) -> None:
    held = SentenceTransformer(str(tiny_folder(family)), device="cpu")
    ours = own_row(load_model(held))
    # Of a text without a single token we give zeros.
    texts = [text for text in TEXTS if text]
    assert distance(ours.encode_query(texts), held.encode_query(texts)) < 1e-5
    assert distance(ours.encode_document(texts), held.encode_document(texts)) < 1e-5


CHANGES: dict[str, Callable[[Any], None]] = {
    "prompts": lambda held: held.prompts.update(query="fire ", document="ice "),
    "no prompts": lambda held: held.prompts.clear(),
    "a passage prompt": lambda held: held.__dict__.update(prompts={"passage": "earth "}, default_prompt_name=None),
    "a default prompt": lambda held: held.__dict__.update(prompts={"any": "earth "}, default_prompt_name="any"),
    "longest input": lambda held: setattr(held, "max_seq_length", 7),
    "pooling": lambda held: held.__setitem__(1, Pooling(WIDTH, "cls")),
    "weights": lambda held: held[0].auto_model.embeddings.word_embeddings.weight.data.mul_(2),
    "one weight": lambda held: held[0].auto_model.embeddings.LayerNorm.bias.data[:1].add_(1),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_was_changed_in_the_object_is_followed_and_keyed(
    change: Callable[[Any], None], held: SentenceTransformer
) -> None:
    before = load_model(held)
    change(held)
    after = load_model(held)
    texts = [text for text in TEXTS if text]
    assert distance(own_row(after).encode_query(texts), held.encode_query(texts)) < 1e-5
    assert distance(own_row(after).encode_document(texts), held.encode_document(texts)) < 1e-5
    assert (key_of(after), after.pooling) != (key_of(before), before.pooling)


def test_the_same_object_has_the_same_key_and_is_not_changed(held: SentenceTransformer) -> None:
    first = load_model(held)
    held.encode_query(TEXTS)
    LayerReader(load_model(held, LoadOptions(max_tokens=5))).read(TEXTS, "", [(1, "mean")])
    assert key_of(load_model(held)) == key_of(first)
    assert held.max_seq_length == first.max_tokens
    assert first.module is held[0].auto_model


@pytest.mark.parametrize("dims", [None, 3])
def test_what_comes_after_the_pooling_is_part_of_its_own_vectors(
    dims: int | None, held: SentenceTransformer, tmp_path: Path
) -> None:
    topped = SentenceTransformer(modules=[held[0], held[1], Dense(WIDTH, 4), Normalize()], truncate_dim=dims)
    topped.save(str(tmp_path / "topped"))
    texts = [text for text in TEXTS if text]
    for model in (load_model(topped), load_model(str(tmp_path / "topped"), LoadOptions(dtype="float32"))):
        assert model.pooling == "own"
        vectors = own_row(model).encode_query(texts)
        assert vectors.shape[1] == (dims or 4)
        assert np.abs(vectors - topped.encode_query(texts)).max() < 1e-5


def test_a_state_dict_in_half_precision_is_read_in_it(held: SentenceTransformer) -> None:
    model = load_model(held.to(torch.bfloat16))  # type: ignore[arg-type]
    assert model.dtype == torch.bfloat16
    assert own_row(model).encode_query(["ice"]).dtype == np.float32


REFUSED: dict[str, tuple[Callable[[SentenceTransformer], Any], LoadOptions, type[ProbeError]]] = {
    "other": (lambda held: SimpleNamespace(encode=None), LoadOptions(), CallError),
    "static": (lambda held: [StaticEmbedding(held.tokenizer, embedding_dim=4)], LoadOptions(), ModelError),
    "dtype": (lambda held: held, LoadOptions(dtype="bfloat16"), CallError),
    "device": (lambda held: held, LoadOptions(device="cuda"), CallError),
    "tokens": (lambda held: held, LoadOptions(max_tokens=4000), CallError),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_read_is_refused_in_a_line(case: str, held: SentenceTransformer) -> None:
    make, options, kind = REFUSED[case]
    given = make(held)
    given = SentenceTransformer(modules=given, device="cpu") if isinstance(given, list) else given
    with pytest.raises(kind) as caught:
        load_model(given, options)
    assert "\n" not in str(caught.value)


def test_an_object_that_reads_images_is_refused_in_a_line(tmp_path: Path) -> None:
    from tiny_towers import write_towers

    clip = SentenceTransformer(str(write_towers(tmp_path / "clip")), device="cpu")
    with pytest.raises(ModelError, match="reads image too"):
        load_model(clip)


def test_a_cut_of_it_is_saved_with_the_files_that_it_lacks(held: SentenceTransformer, tmp_path: Path) -> None:
    short = cut(load_model(held), DEPTH - 1)
    assert short.depth == DEPTH - 1
    files = short.source.folder
    assert files.is_dir()
    saved = SentenceTransformer(str(save(short, tmp_path / "short")), device="cpu")
    expected = LayerReader(short).read(["ice"], short.as_query, [(short.depth, "own")]).vectors[short.depth, "own"]
    assert saved.encode_query(["ice"]) == pytest.approx(expected, abs=1e-5)
    del short, expected
    gc.collect()
    assert not files.exists()
