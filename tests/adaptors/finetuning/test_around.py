"""Losses inside every wrapper and pair of wrappers: a step is made, or a line says why not; a batch of one as well."""

import math
import random
from collections.abc import Callable
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor

from adaptors.finetuning.loss_build import make_tuning_loss
from adaptors.finetuning.loss_catalog import TUNING_LOSSES, WRAPPERS, find_loss
from adaptors.finetuning.loss_spec import LossOptions
from adaptors.rows.load import TuningData
from adaptors.rows.rows import Listwise, Pairwise, Row
from probe.errors import CallError

_DICE = random.Random(1)
_WORDS = ["sun", "star", "rain", "snow", "ice", "fire", "cloud", "gold", "iron", "lake", "leaf", "milk", "moon"]
# With a gradient cache, of our own, of sentence-transformers.
KINDS = ("CachedMultipleNegativesRankingLoss", "hinge", "cosent")
CHAINS = [(name,) for name in WRAPPERS] + list(permutations(WRAPPERS, 2))


def _text() -> str:
    return " ".join(_DICE.choices(_WORDS, k=4))


LISTS: list[Row] = [Listwise(_text(), (_text(), _text(), _text()), (1, 0, 0)) for _ in range(4)]
PAIRS: list[Row] = [Pairwise(_text(), _text()) for _ in range(4)]


@pytest.fixture(scope="module")
def tiny(tiny_folder: Callable[[str], Path]) -> SentenceTransformer:
    return SentenceTransformer(str(tiny_folder("bert")), device="cpu").eval()


def batch(model: Any, name: str, rows: list[Row], count: int) -> tuple[list[dict[str, Tensor]], Tensor | None]:
    columns = find_loss(name)[0].layout.dataset(TuningData("tiny", tuple(rows)), name).to_dict()
    label = next((columns.pop(key) for key in ("label", "score") if key in columns), None)
    texts = [model.preprocess(column[:count]) for column in columns.values()]
    return texts, None if label is None else torch.tensor(label[:count])


def step(model: Any, name: str, given: tuple[list[dict[str, Tensor]], Tensor | None], around: Any = ()) -> Tensor:
    """Return the gradient of one step, all numbers of it finite; the loss is finite without gradients, too."""
    options = LossOptions(
        guide=model if "guide" in find_loss(name)[0].needs else None,
        dims=(32, 8) if any("matryoshka" in one for one in around) else (),
    )
    loss = make_tuning_loss(name, model, options, wrap=around)
    model.zero_grad()
    found = loss([dict(column) for column in given[0]], given[1])
    found.backward()
    gradient = torch.cat([weight.grad.flatten() for weight in model.parameters() if weight.grad is not None])
    with torch.no_grad():
        watched = loss([dict(column) for column in given[0]], given[1])
    assert math.isfinite(found.detach())
    assert math.isfinite(watched)
    assert torch.isfinite(gradient).all()
    return gradient


@pytest.mark.parametrize("name", KINDS)
def test_every_chain_of_wrappers_makes_a_step_or_is_refused_in_a_line(tiny: SentenceTransformer, name: str) -> None:
    given = batch(tiny, name, LISTS, 4)
    made = []
    for around in CHAINS:
        try:
            gradient = step(tiny, name, given, around)
        except CallError:
            continue
        assert float(gradient.norm()) > 0, around
        made.append(around)
    assert {("collapse-guard", "matryoshka"), ("matryoshka", "collapse-guard"), ("spectral-flattening",)} <= {*made}
    assert (("matryoshka", "adaptive-layer") in made) == (not name.startswith("Cached"))
    assert not tiny._forward_hooks


def test_a_penalty_of_every_prefix_is_the_same_inside_a_gradient_cache(tiny: SentenceTransformer) -> None:
    around = ("collapse-guard", "matryoshka")
    plain, cached = (
        step(tiny, name, batch(tiny, name, PAIRS, 4), around)
        for name in ("infonce", "CachedMultipleNegativesRankingLoss")
    )
    assert torch.allclose(plain, cached, atol=1e-4)


@pytest.mark.parametrize(
    ("around", "words"),
    [
        (("matryoshka", "matryoshka"), "'matryoshka' wraps the loss twice"),
        (("collapse-guard", "collapse-guard"), "'collapse-guard' wraps the loss twice"),
        (("matryoshka", "matryoshka-2d"), "'matryoshka' and 'matryoshka-2d' both repeat the loss over prefixes"),
        (("adaptive-layer", "matryoshka-2d"), "both repeat the loss over layers"),
        (("adaptive-layer", "matryoshka"), "'matryoshka' cannot wrap 'adaptive-layer': put it first"),
    ],
)
def test_wrappers_that_undo_each_other_are_refused(
    tiny: SentenceTransformer, around: tuple[str, ...], words: str
) -> None:
    with pytest.raises(CallError, match=words):
        make_tuning_loss("infonce", tiny, LossOptions(dims=(8,)), wrap=around)


@pytest.mark.parametrize("name", TUNING_LOSSES)
def test_a_batch_of_one_gives_numbers(tiny: SentenceTransformer, name: str) -> None:
    for rows in (LISTS, PAIRS):
        try:
            given = batch(tiny, name, rows, 1)
        except CallError:
            continue
        for around in [(), *((wrapper,) for wrapper in WRAPPERS)]:
            try:
                step(tiny, name, given, around)
            except CallError:
                assert name.endswith("-cached")
