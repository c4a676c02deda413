"""Numbers out of range are refused where options are made, in Python as on the command line."""

import math
from collections.abc import Callable

import pytest

from adaptors.finetuning.options import Schedule, TuneOptions
from adaptors.fitting.compare import FitPlan
from adaptors.fitting.options import TrainOptions
from probe.errors import CallError, check_number
from probe.experiments.options import RunOptions

WRONG: dict[str, tuple[Callable[..., object], dict[str, object], str]] = {
    "no epoch": (Schedule, {"epochs": 0}, "epochs 0 is out of range: expected at least 1"),
    "no row": (Schedule, {"batch": 0}, "batch 0 is out of range: expected at least 1"),
    "no rate": (Schedule, {"rate": 0.0}, "--rate 0 is out of range: expected more than 0"),
    "a rate that is no number": (Schedule, {"rate": math.nan}, "--rate nan is out of range"),
    "a warm-up beyond the end": (
        Schedule,
        {"warm_up": 1.5},
        "warm_up 1.5 is out of range: expected at least 0, at",
    ),
    "no token": (Schedule, {"tokens": 0}, "tokens 0 is out of range"),
    "a seed below 0": (Schedule, {"seed": -1}, "seed -1 is out of range"),
    "half a round back": (TuneOptions, {"rounds": -1}, "rounds -1 is out of range"),
    "all held out": (TuneOptions, {"hold_out": 1.0}, "hold_out 1 is out of range: expected at least 0, at most 0.9"),
    "no step": (TrainOptions, {"steps": 0}, "steps 0 is out of range"),
    "an endless rate": (TrainOptions, {"rate": math.inf}, "rate inf is out of range"),
    "a seed that numpy refuses": (RunOptions, {"seed": 2**32}, "seed 4.29497e"),
    "no dimension": (FitPlan, {"kinds": ("pca",), "dims": ()}, "nothing to fit"),
    "a dimension of nothing": (FitPlan, {"kinds": ("pca",), "dims": (0,)}, "dimensions 0 is out of range"),
    "an unknown kind": (FitPlan, {"kinds": ("pac",), "dims": (8,)}, "unknown adaptor 'pac': expected one of truncate"),
}


@pytest.mark.parametrize(("make", "values", "words"), WRONG.values(), ids=WRONG)
def test_what_is_out_of_range_is_refused(make: Callable[..., object], values: dict[str, object], words: str) -> None:
    with pytest.raises(CallError) as refused:
        make(**values)
    assert str(refused.value).startswith(words)


def test_what_is_left_out_is_in_range() -> None:
    check_number("anything", None, 1)
    check_number("anything", 1, 1, most=1)
