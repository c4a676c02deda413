"""Static cuts: close to the full model, whatever the order of the texts, and never from the split that is scored."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_data import make_dataset, write_lines
from tiny_models import PROMPTS, make_texts, make_tiny, write_sentence_transformer
from tiny_tokenizers import count_tokens, write_make

from adaptors import StaticModel, StaticOptions, fit_static
from adaptors.static.fit import fit_static_texts
from adaptors.static.token_counts import estimate_shares, open_tokenizer
from adaptors.static.token_vectors import read_token_vectors
from probe.encoding.encoders import HookpointEncoder
from probe.encoding.reader import LayerReader
from probe.errors import CallError, ModelError
from probe.models.loaded import LoadedModel
from probe.store.store import Store

TEXTS = make_texts(150)


@pytest.fixture(scope="module")
def made(model: LoadedModel) -> StaticModel:
    return fit_static(model, {"mine": TEXTS})


def test_its_vectors_are_close_to_the_full_model_s_on_new_texts(model: LoadedModel, made: StaticModel) -> None:
    full, new = HookpointEncoder(LayerReader(model), model.depth, "own"), make_texts(40, seed=9)
    for encode, expected in (
        (made.encode_query, full.encode_query(new)),
        (made.encode_document, full.encode_document(new)),
    ):
        vectors = encode(new)
        scaled = expected / np.linalg.norm(expected, axis=1, keepdims=True)
        assert np.sum(vectors * scaled, axis=1).mean() > 0.9
        assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_its_facts_are_the_texts_and_the_cost_of_unseen_ones(made: StaticModel) -> None:
    facts = made.facts
    assert (facts.texts, facts.held_out, facts.data[0][0]) == (150, 15, "mine")
    assert 0 < facts.seen_tokens <= facts.tokens == len(made.table)
    assert 0.5 < facts.unseen.cosine < facts.seen.cosine <= 1
    assert facts.options == StaticOptions()


def test_the_order_and_repetition_of_texts_change_nothing(model: LoadedModel, made: StaticModel) -> None:
    again = fit_static(model, {"mine": [*reversed(TEXTS), *TEXTS[:20]]})
    # The vectors of the full model themselves depend on the batch in the last digits.
    assert np.abs(again.table - made.table).max() < 1e-2 * np.abs(made.table).max()
    assert again.facts.penalty == made.facts.penalty
    assert again.facts.texts == made.facts.texts


def test_conjugate_gradients_give_the_same_table(model: LoadedModel) -> None:
    options = StaticOptions(penalty=0.1)
    exact = fit_static(model, {"mine": TEXTS}, options=options)
    other = fit_static(model, {"mine": TEXTS}, options=replace(options, exact_texts=2))
    assert np.abs(exact.table - other.table).max() < 1e-4 * max(1, np.abs(exact.table).max())


def test_data_sets_are_fitted_to_together_and_test_queries_never_read(model: LoadedModel, tmp_path: Path) -> None:
    folders = [make_dataset(tmp_path / name, seed=seed) for name, seed in (("one", 3), ("two", 5))]
    write_lines(folders[0] / "qrels" / "train.tsv", ["query-id\tcorpus-id\tscore", "q0\td0\t1", "q1\td1\t1"])
    write_lines(folders[0] / "qrels" / "test.tsv", ["query-id\tcorpus-id\tscore", "q2\td2\t1", "q3\td3\t1"])
    found = fit_static(model, [str(folder) for folder in folders])
    assert [name for name, _ in found.facts.data] == ["one", "two"]
    # All documents, and the two training queries; other tokens of test queries change nothing.
    assert found.facts.texts == 40 + 40 + 2
    queries = (folders[0] / "queries.jsonl").read_text().splitlines()
    (folders[0] / "queries.jsonl").write_text(
        "\n".join([*queries[:2], *(line.replace('"text": "', '"text": "moon ') for line in queries[2:])])
    )
    again = fit_static(model, [str(folder) for folder in folders])
    assert np.array_equal(found.table, again.table)


def test_a_split_names_the_queries_that_are_not_read(model: LoadedModel, tmp_path: Path) -> None:
    folder = make_dataset(tmp_path / "one")
    write_lines(folder / "qrels" / "dev.tsv", ["query-id\tcorpus-id\tscore", "q0\td0\t1", "q1\td1\t1"])
    write_lines(folder / "qrels" / "test.tsv", ["query-id\tcorpus-id\tscore", "q2\td2\t1"])
    assert fit_static(model, str(folder), split="dev").facts.texts == 40
    assert fit_static(model, str(folder), split="test").facts.texts == 42
    with pytest.raises(CallError, match="split 'dev' is for the name or path"):
        fit_static(model, {"mine": TEXTS}, split="dev")


@pytest.mark.parametrize("make", ["bert", "bert-cased", "roberta", "xlmr", "gpt", "qwen", "llama"])
def test_tokens_are_read_alone_between_their_special_tokens(make: str, tmp_path: Path) -> None:
    tiny = make_tiny("bert", vocab_size=count_tokens(make), max_position_embeddings=600)
    tiny.save_pretrained(tmp_path)
    folder = write_sentence_transformer(write_make(tmp_path, make), "mean", PROMPTS)
    found = fit_static(str(folder), {"mine": TEXTS[:40]})
    assert len(found.table) == count_tokens(make)
    assert np.isfinite(found.table).all()
    assert found.encode_query(["snow on the river"]).shape == (1, 32)


def test_a_token_s_vector_is_that_of_a_text_of_it_alone(model: LoadedModel, tmp_path: Path) -> None:
    reader = LayerReader(model)
    tokenizer = open_tokenizer(reader)
    vectors = read_token_vectors(reader, tokenizer, Store(str(tmp_path)))
    texts = ["moon", "river"]
    states = reader.read(texts, "", [(model.depth, "mean")]).vectors[model.depth, "mean"]
    for text, state in zip(texts, states, strict=True):
        found = vectors[tokenizer.tokenizer.token_to_id(text)]
        assert np.abs(found - state / np.linalg.norm(state)).max() < 2e-3
    lines: list[int] = []
    cached = read_token_vectors(
        reader, tokenizer, Store(str(tmp_path)), progress=lambda step, done, total: lines.append(done)
    )
    assert np.array_equal(cached, vectors)
    assert lines == [len(tokenizer.known)]


def test_shares_of_unseen_tokens_follow_the_least_frequent(model: LoadedModel) -> None:
    counts = open_tokenizer(LayerReader(model)).count(["moon moon river", "moon"])
    shares = estimate_shares(counts)
    assert shares.min() > 0
    assert shares[counts.sum(axis=0) == 0].max() < shares[counts.sum(axis=0) > 0].min()
    assert np.allclose(counts.sum(axis=1), 1)


def test_texts_without_tokens_are_left_out_and_one_text_is_too_few(model: LoadedModel) -> None:
    with pytest.raises(CallError, match="at least 2 different texts, found 1"):
        fit_static(replace(model, document_prompt=""), {"mine": ["moon", " "]})


def test_models_without_blocks_and_wrong_options_are_refused(
    made: StaticModel, tmp_path: Path, tiny_folder: Callable[[str], Path]
) -> None:
    made.pipeline.save_pretrained(str(tmp_path / "static"), create_model_card=False)
    with pytest.raises(ModelError, match="is an encoder without layers"):
        fit_static(str(tmp_path / "static"), {"mine": TEXTS})
    with pytest.raises(CallError, match="penalty -1"):
        StaticOptions(penalty=-1)
    with pytest.raises(CallError, match="held_out 1: expected 2 or more"):
        StaticOptions(held_out=1)


def test_a_slow_tokenizer_is_refused(model: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    class Slow:
        backend_tokenizer = None

    monkeypatch.setattr(type(model.pipeline), "tokenizer", Slow())
    with pytest.raises(ModelError, match="has a slow tokenizer, Slow"):
        fit_static(model, {"mine": TEXTS})


def test_the_fit_of_an_opened_model_and_its_seed(model: LoadedModel, made: StaticModel) -> None:
    from adaptors.healing.texts import load_heal_texts

    (texts,) = load_heal_texts({"mine": TEXTS})
    assert np.array_equal(fit_static_texts(LayerReader(model), texts).table, made.table)
    assert torch.from_numpy(made.table).dtype == torch.float32
