"""What makes examples of the documentation small: few and short texts, and little training and timing."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from adaptors.fitting.options import TrainOptions
from adaptors.healing.trainer import HealOptions
from adaptors.slimming.options import SlimOptions
from probe.models.catalog import list_entries

__all__ = ["shrink_examples"]

# What is trained in an example, and the steps it is left.
_LITTLE = {TrainOptions: 10, HealOptions: 2}


@contextmanager
def shrink_examples(cache: Path) -> Iterator[None]:
    """Have examples run on little, with a store in an empty folder, until the block ends."""
    modules = "asyncio os statistics numpy.fft"  # of two packages, for there are labels by package
    entries = tuple(replace(entry, max_tokens=32) for entry in list_entries())
    # What is first imported below would keep these entries for other files' tests.
    import_module("encoder_surgery.probe_commands.known_models")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("probe.sources.docstrings._MODULES", modules)
        patch.setattr("probe.models.catalog.list_entries", lambda: entries)
        patch.setenv("ENCODER_SURGERY_CACHE", str(cache))
        # Tests of the saved folders have these checks.
        for check in ("check_saved", "check_encoder", "check_pair"):
            patch.setattr(f"surgery.saving.fresh_process.{check}", _accept)
        for options, steps in _LITTLE.items():
            patch.setattr(options, "__init__", _take_few_steps(options.__init__, steps))
        patch.setattr(SlimOptions, "__init__", _take_little_time(SlimOptions.__init__))
        patch.setattr("adaptors.slimming.search._FEWEST_SECONDS", 0.1)
        patch.setattr("adaptors.slimming.search.afford", lambda candidates, seconds, per_text: tuple(candidates[:2]))
        patch.setattr("adaptors.slimming.timing._QUERIES", 4)
        patch.setattr("adaptors.slimming.timing._DOCUMENTS", 8)
        patch.setattr("probe.experiments.linear_probe.PENALTIES", (0.01,))
        patch.setattr("probe.scale.rate._SECONDS", 0.1)
        patch.setattr("surgery.inspection._ROUNDS", 1)
        yield


def _accept(*args: object, **options: object) -> None:
    """Check nothing."""


def _take_few_steps(make: Callable[..., None], most: int) -> Callable[..., None]:
    """Return how options are made that never ask for more steps."""

    def make_small(options: Any, *args: Any, **named: Any) -> None:
        make(options, *args, **named)
        object.__setattr__(options, "steps", min(options.steps or most, most))

    return make_small


def _take_little_time(make: Callable[..., None]) -> Callable[..., None]:
    """Return how options of a search are made that last for a moment."""

    def make_short(options: Any, *args: Any, **named: Any) -> None:
        make(options, *args, **named)
        object.__setattr__(options, "minutes", 0.01)

    return make_short
