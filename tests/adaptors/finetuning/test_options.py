"""Numbers out of range are refused where options are made, in Python as on the command line."""

import math
from collections.abc import Callable

import pytest

from adaptors.finetuning.loss_spec import LossOptions
from adaptors.finetuning.options import Goal, Schedule, TuneOptions
from adaptors.finetuning.parameters import Scope
from adaptors.fitting.compare import FitPlan
from adaptors.fitting.options import TrainOptions, usual_dims
from adaptors.healing.trainer import HealOptions
from adaptors.rows.hard_negatives import MineOptions
from probe.errors import CallError, check_number
from probe.experiments.options import RunOptions

WRONG: dict[str, tuple[Callable[..., object], dict[str, object], str]] = {
    "no epoch": (Schedule, {"epochs": 0}, "--epochs 0 is out of range: expected at least 1"),
    "no row": (Schedule, {"batch_size": 0}, "--batch-size 0 is out of range: expected at least 1"),
    "no rate": (Schedule, {"lr": 0.0}, "--lr 0 is out of range: expected more than 0"),
    "a rate that is no number": (Schedule, {"lr": math.nan}, "--lr nan is out of range"),
    "a warm-up beyond the end": (
        Schedule,
        {"warmup_ratio": 1.5},
        "--warmup-ratio 1.5 is out of range: expected at least 0, at",
    ),
    "no token": (Schedule, {"max_tokens": 0}, "--max-tokens 0 is out of range"),
    "a seed below 0": (Schedule, {"seed": -1}, "--seed -1 is out of range"),
    "half a round back": (TuneOptions, {"rounds": -1}, "--rounds -1 is out of range"),
    "all held out": (TuneOptions, {"hold_out": 1.0}, "--hold-out 1 is out of range: expected at least 0, at most 0.9"),
    "no step": (TrainOptions, {"steps": 0}, "--steps 0 is out of range"),
    "an endless rate": (TrainOptions, {"lr": math.inf}, "--lr inf is out of range"),
    "no step of a healing": (HealOptions, {"steps": 0}, "--steps 0 is out of range: expected at least 1"),
    "no rate of a healing": (HealOptions, {"lr": 0}, "--lr 0 is out of range: expected more than 0"),
    "an unknown setting": (TuneOptions.of, {"epoch": 1}, "unknown option 'epoch': did you mean epochs?"),
    "a group in place of a setting": (TuneOptions.of, {"goal": Goal()}, "unknown option 'goal': "),
    "a seed that numpy refuses": (RunOptions, {"seed": 2**32}, "seed 4.29497e"),
    "no kind": (FitPlan, {"kinds": ()}, "nothing to fit"),
    "a dimension of nothing": (FitPlan, {"kinds": ("pca",), "dims": (0,)}, "dimensions 0 is out of range"),
    "an unknown kind": (FitPlan, {"kinds": ("pcaa",), "dims": (8,)}, "unknown adaptor 'pcaa': did you mean pca"),
}


@pytest.mark.parametrize(("make", "values", "words"), WRONG.values(), ids=WRONG)
def test_what_is_out_of_range_is_refused(make: Callable[..., object], values: dict[str, object], words: str) -> None:
    with pytest.raises(CallError) as refused:
        make(**values)
    assert str(refused.value).startswith(words)


def test_what_is_left_out_is_in_range() -> None:
    check_number("anything", None, 1)
    check_number("anything", 1, 1, most=1)


def test_settings_by_name_go_where_they_belong() -> None:
    flat = TuneOptions.of(loss="hinge", margin=0.3, epochs=1, lr=1e-3, lora=2, range_max=20, hold_out=0.0, seed=3)
    assert flat == TuneOptions(
        Goal("hinge", (), LossOptions(margin=0.3)),
        Scope(lora=2),
        Schedule(1, lr=1e-3, seed=3),
        mining=MineOptions(range_max=20, seed=3),
        hold_out=0.0,
    )
    assert TuneOptions.of() == TuneOptions()


def test_the_usual_dimensions_are_all_a_half_and_a_quarter() -> None:
    assert [usual_dims(width) for width in (384, 3, 1)] == [(384, 192, 96), (3, 1), (1,)]
