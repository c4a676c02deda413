"""Fits on almost nothing: every loss is a number, nothing is called collapsed that is not, or a line refuses."""

import math
from dataclasses import replace

import pytest
import torch
from tiny_states import make_states

from adaptors.fitting.closed_form import fit_lens
from adaptors.fitting.kinds import KINDS
from adaptors.fitting.options import TrainOptions
from adaptors.fitting.states import FitData
from adaptors.losses.states import unexplained_variance
from probe.errors import CallError

TRAINED = [name for name, kind in KINDS.items() if kind.uses_labels or name == "distil"]


def few(documents: int, queries: int, labelled: bool = False) -> FitData:
    data = make_states(labelled)
    texts, asked = data.documents[:documents], data.queries[:queries]
    known = (data.pairs[:, 0] < queries) & (data.pairs[:, 1] < documents)
    return replace(data, documents=texts, queries=asked, targets=torch.cat([texts, asked]), pairs=data.pairs[known])


@pytest.mark.parametrize("labelled", [False, True], ids=["blind", "labelled"])
@pytest.mark.parametrize("kind", TRAINED)
def test_six_documents_are_enough_to_train_on(kind: str, labelled: bool) -> None:
    data = few(6, 6, labelled) if labelled else few(6, 0)
    fitted = KINDS[kind].fit(data, (8,), TrainOptions(steps=2))
    for epoch in fitted.epochs:
        losses = [loss for loss in (epoch.train_loss, epoch.held_out_loss) if loss is not None]
        assert all(map(math.isfinite, losses)), epoch


def test_states_that_are_all_equal_have_no_variance_to_explain() -> None:
    states = torch.ones(3, 2)
    assert unexplained_variance(states, states) == 0
    assert unexplained_variance(states, states + 1) == 6


def test_a_lens_of_one_text_is_refused() -> None:
    with pytest.raises(CallError, match="lens: cannot fit to 1 text: expected at least 2"):
        fit_lens(few(1, 0), 8)
