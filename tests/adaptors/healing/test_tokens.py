"""Healing tokenizes every text once, however often it is drawn, and gets the batches that the encoder would make."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from sentence_transformers import SentenceTransformer
from tiny_models import make_texts

from adaptors.healing.embedding import embed_texts
from adaptors.healing.held_out import HeldOutTexts
from adaptors.healing.texts import HealTexts
from adaptors.healing.tokens import TokenizedTexts

TEXTS = [*make_texts(12), "x", " ".join(make_texts(12))]


@pytest.fixture(params=["bert", "mpnet", "roberta"])
def model(request: pytest.FixtureRequest, tiny_folder: Callable[[str], Path]) -> SentenceTransformer:
    return SentenceTransformer(str(tiny_folder(request.param)), device="cpu")


def count_texts(model: SentenceTransformer, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that gets the number of texts of every call of the tokenizer."""
    seen: list[int] = []
    tokenizer: Any = model.tokenizer
    real = type(tokenizer)._encode_plus

    def count(self: Any, text: Any, *given: Any, **named: Any) -> Any:
        seen.append(1 if isinstance(text, str) else len(text))
        return real(self, text, *given, **named)

    monkeypatch.setattr(type(tokenizer), "_encode_plus", count)
    return seen


def test_batches_are_those_of_the_encoder(model: SentenceTransformer) -> None:
    model.max_seq_length = 16
    tokens = TokenizedTexts(model, TEXTS)
    assert tokens._pads
    for rows in ([3, 1, 13], [12], [*range(14)]):
        expected = {k: v for k, v in model.preprocess([TEXTS[row] for row in rows]).items() if torch.is_tensor(v)}
        found = tokens.batch(rows)
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], expected[name]) for name in found)
    assert tokens.lengths[13] == 16


def test_drawing_a_text_again_tokenizes_nothing(model: SentenceTransformer, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = count_texts(model, monkeypatch)
    tokens = TokenizedTexts(model, TEXTS)
    # And two of them as the encoder does, to compare.
    assert sum(seen) == len(TEXTS) + 2
    for _ in range(3):
        tokens.batch([0, 5, 13])
    assert sum(seen) == len(TEXTS) + 2


def test_an_encoder_that_does_more_than_to_pad_makes_its_own_batches(
    model: SentenceTransformer, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = model.preprocess
    monkeypatch.setattr(model, "preprocess", lambda texts: {**real(texts), "more": torch.ones(len(texts))})
    assert "more" in TokenizedTexts(model, TEXTS).batch([0, 5])


def test_held_out_texts_are_tokenized_once(model: SentenceTransformer, monkeypatch: pytest.MonkeyPatch) -> None:
    model.max_seq_length = 16
    vectors = embed_texts(model, TEXTS)
    judge, seen = HeldOutTexts(HealTexts(tuple(TEXTS), vectors, ())), count_texts(model, monkeypatch)
    assert [judge.measure(model).cosine for _ in range(3)] == pytest.approx([1.0] * 3, abs=1e-6)
    assert sum(seen) == len(TEXTS)
    model.max_seq_length = 4
    assert judge.measure(model).cosine < 1 - 1e-6
