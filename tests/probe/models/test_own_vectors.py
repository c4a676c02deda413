"""A model's own vectors: what sentence-transformers gives at the last layer, and the same modules at inner ones."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Dense, Dropout, LayerNorm, Normalize, Pooling
from tiny_models import WIDTH, change_json, make_texts, write_json, write_model

from probe.encoding.opening import load_encoder
from probe.errors import CallError, ModelError
from probe.models.options import LoadOptions

PLAIN = LoadOptions(dtype="float32", device="cpu")
TEXTS = make_texts(7)

HEADS: dict[str, Callable[[], list[torch.nn.Module]]] = {
    "mean": lambda: [Pooling(WIDTH)],
    "last": lambda: [Pooling(WIDTH, "lasttoken")],
    "square root": lambda: [Pooling(WIDTH, "mean_sqrt_len_tokens")],
    "weighted": lambda: [Pooling(WIDTH, "weightedmean")],
    "two poolings in one": lambda: [Pooling(WIDTH, ("cls", "mean"))],
    "without the prompt": lambda: [Pooling(WIDTH, include_prompt=False)],
    "unit": lambda: [Pooling(WIDTH, "cls"), Normalize()],
    "dense": lambda: [Pooling(WIDTH), Dense(WIDTH, 5)],
    "two dense": lambda: [Pooling(WIDTH), Dense(WIDTH, 9), Dense(9, 5, activation_function=torch.nn.GELU())],
    "norm and dropout": lambda: [Pooling(WIDTH), LayerNorm(WIDTH), Dropout(0.5), Normalize()],
}
NAMES = {"mean": "mean", "last": "last", "unit": "cls"}


@pytest.fixture
def save(tiny_folder: Callable[[str], Path], tmp_path: Path) -> Callable[..., tuple[Path, SentenceTransformer]]:
    def make(head: str, **settings: Any) -> tuple[Path, SentenceTransformer]:
        first = SentenceTransformer(str(tiny_folder("bert")), device="cpu")[0]
        model = SentenceTransformer(modules=[first, *HEADS[head]()], device="cpu", **settings)
        model.save(str(tmp_path / "model"))
        return tmp_path / "model", SentenceTransformer(str(tmp_path / "model"), device="cpu")

    return make


def farthest(first: Any, second: Any) -> float:
    return float(np.abs(np.asarray(first) - np.asarray(second)).max())


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("settings", [{}, {"prompts": {"query": "acid air ", "document": "ice "}}], ids=["", "prompts"])
def test_the_bare_spec_gives_what_sentence_transformers_gives(
    head: str, settings: dict[str, Any], save: Callable[..., tuple[Path, SentenceTransformer]]
) -> None:
    folder, model = save(head, **settings)
    encoder = load_encoder(str(folder), PLAIN)
    assert farthest(encoder.encode_query(TEXTS), model.encode_query(TEXTS, batch_size=1)) <= 1e-5
    assert farthest(encoder.encode_document(TEXTS), model.encode_document(TEXTS, batch_size=1)) <= 1e-5


@pytest.mark.parametrize("head", HEADS)
def test_an_inner_layer_goes_through_the_whole_head(
    head: str, save: Callable[..., tuple[Path, SentenceTransformer]]
) -> None:
    folder, model = save(head)
    features = model.preprocess(TEXTS[:1])
    states = (
        model[0]
        .auto_model(
            input_ids=features["input_ids"], attention_mask=features["attention_mask"], output_hidden_states=True
        )
        .hidden_states[1]
    )
    made = {**features, "token_embeddings": states}
    for module in list(model)[1:]:
        made = module.eval()(made)
    found = load_encoder(f"{folder}@1", PLAIN).encode_document(TEXTS[:1])
    assert farthest(found, made["sentence_embedding"].detach()) <= 1e-5


@pytest.mark.parametrize("head", HEADS)
def test_a_name_is_a_poolings_only_where_that_ranks_alike(
    head: str, save: Callable[..., tuple[Path, SentenceTransformer]]
) -> None:
    folder, _ = save(head, prompts={"query": "acid "})
    pooling = load_encoder(str(folder), PLAIN).hookpoint.pooling
    assert pooling == NAMES.get(head, "own")


def test_a_dot_model_that_scales_its_vectors_is_not_its_bare_pooling(
    save: Callable[..., tuple[Path, SentenceTransformer]],
) -> None:
    folder, _ = save("unit", similarity_fn_name="dot")
    encoder = load_encoder(str(folder), PLAIN)
    assert encoder.hookpoint.pooling == "own"


def test_a_causal_model_without_modules_pools_its_last_token(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "qwen", "qwen3")
    change_json(folder / "config.json", architectures=["Qwen3ForCausalLM"])
    (folder / "modules.json").unlink(missing_ok=True)
    encoder = load_encoder(str(folder), PLAIN)
    assert encoder.hookpoint.pooling == "last"
    expected = SentenceTransformer(str(folder), device="cpu").encode(TEXTS, batch_size=1)
    assert farthest(encoder.encode_document(TEXTS), expected) <= 1e-5


def test_another_state_than_the_last_is_refused(save: Callable[..., tuple[Path, SentenceTransformer]]) -> None:
    folder, _ = save("mean")
    read = {"text": {"method": "forward", "method_output_name": "pooler_output"}}
    change_json(folder / "sentence_bert_config.json", modality_config=read, module_output_name="sentence_embedding")
    with pytest.raises(ModelError, match="pooler_output"):
        load_encoder(str(folder), PLAIN)


def test_a_model_without_vectors_of_its_own_says_why_and_reads_bare_states(
    save: Callable[..., tuple[Path, SentenceTransformer]],
) -> None:
    folder, _ = save("mean")
    write_json(
        folder / "modules.json",
        [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}],
    )
    with pytest.raises(CallError, match=r"cannot encode with it.*--pooling"):
        load_encoder(str(folder), PLAIN)
    assert load_encoder(f"{folder}:mean", PLAIN).encode_document(["ice"]).shape == (1, WIDTH)
