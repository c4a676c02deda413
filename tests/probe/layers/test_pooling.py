"""Poolings: answers by hand on states that say their own position."""

import pytest
import torch
from torch import Tensor

from probe.layers.hookpoint import POOLING_NAMES
from probe.layers.pooling import POOLINGS, Pooling, pool_cls, pool_last, pool_max, pool_mean

RIGHT_PADDED = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
LEFT_PADDED = RIGHT_PADDED.flip(1)
EMPTY_SECOND = torch.tensor([[1, 1, 0, 0], [0, 0, 0, 0]])


def positions() -> Tensor:
    """Return states `(2, 4, 3)` that read text, token, dimension: 123 is dimension 3 of token 2 of text 1."""
    text, token, dimension = torch.meshgrid(*(torch.arange(float(n)) for n in (2, 4, 3)), indexing="ij")
    return 100 * text + 10 * token + dimension


ANSWERS = [
    ("cls", RIGHT_PADDED, [[0, 1, 2], [100, 101, 102]]),
    ("cls", LEFT_PADDED, [[0, 1, 2], [120, 121, 122]]),
    ("last", RIGHT_PADDED, [[30, 31, 32], [110, 111, 112]]),
    ("last", LEFT_PADDED, [[30, 31, 32], [130, 131, 132]]),
    ("mean", RIGHT_PADDED, [[15, 16, 17], [105, 106, 107]]),
    ("mean", LEFT_PADDED, [[15, 16, 17], [125, 126, 127]]),
    ("max", RIGHT_PADDED, [[30, 31, 32], [110, 111, 112]]),
    ("max", LEFT_PADDED, [[30, 31, 32], [130, 131, 132]]),
]


@pytest.mark.parametrize(("name", "mask", "answer"), ANSWERS)
def test_answers_by_hand(name: str, mask: Tensor, answer: list[list[int]]) -> None:
    assert POOLINGS[name](positions(), mask).tolist() == answer


@pytest.mark.parametrize(("name", "mask", "answer"), ANSWERS)
def test_boolean_masks_pool_alike(name: str, mask: Tensor, answer: list[list[int]]) -> None:
    assert POOLINGS[name](positions(), mask.bool()).tolist() == answer


@pytest.mark.parametrize("mask", [RIGHT_PADDED, LEFT_PADDED], ids=["right", "left"])
def test_max_of_negative_states_is_not_the_padding(mask: Tensor) -> None:
    hidden = positions() - 1000
    hidden[mask == 0] = 0.0
    assert pool_max(hidden, mask).max() < 0


def test_max_takes_every_dimension_from_its_own_token() -> None:
    hidden = torch.tensor([[[1.0, -5.0], [-3.0, -2.0], [9.0, 9.0]]])
    assert pool_max(hidden, torch.tensor([[1, 1, 0]])).tolist() == [[1.0, -2.0]]


@pytest.mark.parametrize("pool", [pool_mean, pool_max], ids=["mean", "max"])
def test_text_without_tokens_is_zeros(pool: Pooling) -> None:
    pooled = pool(positions(), EMPTY_SECOND)
    assert pooled[1].tolist() == [0, 0, 0]
    assert pooled[0].abs().sum() > 0


@pytest.mark.parametrize("name", list(POOLINGS))
@pytest.mark.parametrize("filler", [1e30, float("inf"), float("nan")])
def test_what_stands_in_the_padding_does_not_matter(name: str, filler: float) -> None:
    hidden = positions()
    clean = POOLINGS[name](hidden, RIGHT_PADDED)
    hidden[RIGHT_PADDED == 0] = filler
    assert POOLINGS[name](hidden, RIGHT_PADDED).tolist() == clean.tolist()


@pytest.mark.parametrize("name", list(POOLINGS))
@pytest.mark.parametrize("mask", [RIGHT_PADDED, LEFT_PADDED, EMPTY_SECOND], ids=["right", "left", "empty"])
def test_inputs_are_not_written_to(name: str, mask: Tensor) -> None:
    hidden, given = positions(), mask.clone()
    pooled = POOLINGS[name](hidden, given)
    pooled.fill_(-1)
    assert torch.equal(hidden, positions())
    assert torch.equal(given, mask)


@pytest.mark.parametrize("name", list(POOLINGS))
def test_one_text_of_one_token_is_that_token(name: str) -> None:
    hidden = torch.tensor([[[3.0, -4.0]]])
    assert POOLINGS[name](hidden, torch.tensor([[1]])).tolist() == [[3.0, -4.0]]


def test_names_agree_with_those_a_spec_may_use() -> None:
    assert tuple(POOLINGS) == POOLING_NAMES


def test_cls_and_last_skip_padding_on_both_sides() -> None:
    mask = torch.tensor([[0, 1, 1, 0], [0, 0, 1, 0]])
    assert pool_cls(positions(), mask)[:, 0].tolist() == [10, 120]
    assert pool_last(positions(), mask)[:, 0].tolist() == [20, 120]
