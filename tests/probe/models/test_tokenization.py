"""Batches: budget, completeness, exact counts of what was cut, and padding."""

import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_models import WORDS, write_tokenizer

from probe.models.tokenization import Role, pad_batch, plan_batches, preprocess, tokenize

CPU = torch.device("cpu")


@pytest.fixture
def tokenizer(tmp_path: Path) -> Any:
    """Return a tokenizer of one token per word, with one more on each side."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(write_tokenizer(tmp_path))


def make_lengths(count: int = 200) -> list[int]:
    rng = random.Random(1)
    return [rng.choice([0, 1, 5, rng.randint(2, 90)]) for _ in range(count)]


@pytest.mark.parametrize("budget", [1, 50, 256, 10_000])
def test_every_text_with_tokens_is_in_one_batch(budget: int) -> None:
    lengths = make_lengths()
    planned = [i for batch in plan_batches(lengths, budget) for i in batch]
    assert sorted(planned) == [i for i, length in enumerate(lengths) if length]


@pytest.mark.parametrize("budget", [1, 50, 256, 10_000])
def test_padded_batches_keep_the_budget_or_hold_one_text(budget: int) -> None:
    lengths = make_lengths()
    for batch in plan_batches(lengths, budget):
        assert len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= budget


def test_batches_are_as_full_as_the_budget_allows() -> None:
    lengths = make_lengths()
    batches = list(plan_batches(lengths, 256))
    for batch, following in pairwise(batches):
        assert (len(batch) + 1) * lengths[batch[0]] > 256
        assert lengths[batch[-1]] >= lengths[following[0]]


def test_plan_is_the_same_every_time() -> None:
    lengths = [3, 7, 3, 7, 3]
    assert list(plan_batches(lengths, 14)) == [[1, 3], [0, 2, 4]]


@pytest.mark.parametrize("lengths", [[], [0, 0]])
def test_nothing_to_read_is_no_batch(lengths: list[int]) -> None:
    assert list(plan_batches(lengths, 100)) == []


def test_tokenises_in_order_with_special_tokens(tokenizer: Any) -> None:
    tokens = tokenize(tokenizer, ["apple", "bird boat", ""], 16)
    assert [len(ids) for ids in tokens.ids] == [3, 4, 2]
    assert {ids[0] for ids in tokens.ids} == {tokenizer.cls_token_id}
    assert {ids[-1] for ids in tokens.ids} == {tokenizer.sep_token_id}
    assert tokens.truncated == 0


@pytest.mark.parametrize(("words", "truncated"), [(7, 0), (8, 0), (9, 1), (30, 1)])
def test_only_a_text_above_the_limit_counts_as_cut(tokenizer: Any, words: int, truncated: int) -> None:
    tokens = tokenize(tokenizer, [" ".join(WORDS[:words]), "apple"], 10)
    assert tokens.truncated == truncated
    assert len(tokens.ids[0]) == min(words + 2, 10)
    assert tokens.ids[0][-1] == tokenizer.sep_token_id


def test_all_cut_texts_are_counted(tokenizer: Any) -> None:
    texts = [" ".join(WORDS[:n]) for n in (20, 3, 8, 9, 50)]
    assert tokenize(tokenizer, texts, 10).truncated == 3


def test_no_texts_are_no_tokens(tokenizer: Any) -> None:
    tokens = tokenize(tokenizer, [], 10)
    assert (tokens.ids, tokens.truncated) == ([], 0)


def test_pads_on_the_right_and_masks_it() -> None:
    batch = pad_batch([0, 1], [[5, 6, 7], [8]], 9).inputs(CPU)
    assert batch["input_ids"].tolist() == [[5, 6, 7], [8, 9, 9]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]


def test_padding_token_inside_a_text_stays_a_token() -> None:
    assert pad_batch([0, 1], [[9, 5, 9], [8]], 9).attention_mask.tolist() == [[1, 1, 1], [1, 0, 0]]


def test_padding_does_not_write_to_the_ids() -> None:
    ids = [[5, 6, 7], [8]]
    pad_batch([0, 1], ids, 0)
    assert ids == [[5, 6, 7], [8]]


@pytest.mark.parametrize("masked", [True, False])
def test_a_tokenizer_that_keeps_nothing_of_what_it_cut_has_it_counted(tokenizer: Any, masked: bool) -> None:
    """As slow tokenizers and chat templates are: plain tensors, with or without a mask."""

    class Plain:
        def __init__(self) -> None:
            self.tokenizer = tokenizer

        def preprocess(self, texts: list[str], **options: Any) -> dict[str, torch.Tensor]:
            made = tokenizer(texts, padding=True, truncation=True, max_length=5, return_tensors="pt")
            return {name: made[name] for name in ("input_ids", *(["attention_mask"] if masked else []))}

    short, cut = " ".join(WORDS[:3]), " ".join(WORDS[:4])
    assert preprocess(Plain(), [short], Role("document")).truncated == 0
    assert preprocess(Plain(), [cut, cut], Role("document")).truncated == 2
    assert preprocess(Plain(), [short, cut], Role("document")).truncated == 1


def test_texts_run_together_as_far_as_their_model_lets_them() -> None:
    lengths = [3, 5, 3, 0, 5, 4]
    assert list(plan_batches(lengths, 100, batching="padded")) == [[1, 4, 5, 0, 2]]
    assert list(plan_batches(lengths, 100, batching="equal")) == [[1, 4], [5], [0, 2]]
    assert list(plan_batches(lengths, 100, batching="single")) == [[1], [4], [5], [0], [2]]
