"""The errors a user can cause or meet, each with the exit code the command line returns; and their words."""

import math
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

__all__ = [
    "GREATEST_SEED",
    "CallError",
    "DataError",
    "ModelError",
    "ProbeError",
    "TrainingError",
    "check_number",
    "check_type",
    "did_you_mean",
    "first_line",
    "no_attribute",
    "wrong_type",
]

# numpy and scikit-learn take no greater seeds.
GREATEST_SEED = 2**32 - 1

# Characters of another library's message that a message of ours quotes at most.
_LONGEST = 300


class ProbeError(Exception):
    """An error whose message is written for the user: what was found, what was expected, what to do."""

    exit_code = 1


class CallError(ProbeError):
    """The call was wrong: an unknown name, a value out of range, a path that is not there."""

    exit_code = 2


class DataError(ProbeError):
    """A data set could not be read, downloaded or written."""


class ModelError(ProbeError):
    """A model could not be found, loaded or read layer by layer."""


class TrainingError(ProbeError):
    """A training came to nothing."""


def wrong_type(argument: str, found: object, expected: str) -> CallError:
    """Return the error of an argument that is of a wrong type."""
    return CallError(f"{argument}: found {type(found).__name__}, expected {expected}")


def check_type(argument: str, found: object, kinds: Any, *, expected: str = "") -> None:
    """Refuse an argument of another type; `expected` says what it should be, where the type's name does not.

    Raises:
        CallError: It is of another type.
    """
    if not isinstance(found, kinds):
        raise wrong_type(argument, found, expected or kinds.__name__)


def no_attribute(module: str, name: str, known: Sequence[str]) -> AttributeError:
    """Return the error of a name that a package does not export, with those that the user may have meant."""
    near = get_close_matches(name, known, n=3, cutoff=0.6)
    hint = f": did you mean {' or '.join(near)}?" if near else ""
    return AttributeError(f"module '{module}' has no attribute '{name}'{hint}", name=name)


def did_you_mean(name: str, known: Sequence[str], more: Sequence[str] = ()) -> str:
    """Return a phrase with the names that the user may have meant: the nearest ones, or all when none is near.

    Of `more` the nearest ones alone are ever named.
    """
    near = get_close_matches(name, [*known, *more], n=3, cutoff=0.5)
    return f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known)}"


def first_line(error: BaseException) -> str:
    """Return the first line of another library's error, for a message of one line; its class where it says nothing."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:_LONGEST]


def check_number(
    name: str,
    value: float | None,
    least: float | None = None,
    *,
    most: float | None = None,
    above: float | None = None,
) -> None:
    """Refuse an option that is no finite number, or out of its range; None is an option that is left out.

    Args:
        name: What the message calls it.
        value: The number.
        least: The least it may be.
        most: The greatest it may be.
        above: What it has to be more than, in place of `least`.

    Raises:
        CallError: It is.
    """
    if value is None:
        return
    bounds = {"at least": least, "more than": above, "at most": most}
    fits = (
        math.isfinite(value)
        and (least is None or value >= least)
        and (above is None or value > above)
        and (most is None or value <= most)
    )
    if not fits:
        words = ", ".join(f"{how} {bound:g}" for how, bound in bounds.items() if bound is not None)
        raise CallError(f"{name} {value:g} is out of range: expected {words or 'a finite number'}")
