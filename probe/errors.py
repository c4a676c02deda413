"""Error classes with their exit codes, and helpers for the wording of messages."""

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

# The largest seed that numpy and scikit-learn accept.
GREATEST_SEED = 2**32 - 1

# Maximum number of characters quoted from another library's message.
_LONGEST = 300


class ProbeError(Exception):
    """Base class. Its message is written for users: what was found, what was expected, what to do."""

    exit_code = 1


class CallError(ProbeError):
    """The call was wrong: an unknown name, a value out of range, a missing path."""

    exit_code = 2


class DataError(ProbeError):
    """A data set could not be read, downloaded or written."""


class ModelError(ProbeError):
    """A model could not be found, loaded or read layer by layer."""


class TrainingError(ProbeError):
    """A training run failed or produced nothing usable."""


def wrong_type(argument: str, found: object, expected: str) -> CallError:
    """Return the error for an argument of a wrong type."""
    return CallError(f"{argument}: found {type(found).__name__}, expected {expected}")


def check_type(argument: str, found: object, kinds: Any, *, expected: str = "") -> None:
    """Raise if an argument is of another type; `expected` describes the type if its name does not.

    Raises:
        CallError: If it is of another type.
    """
    if not isinstance(found, kinds):
        raise wrong_type(argument, found, expected or kinds.__name__)


def no_attribute(module: str, name: str, known: Sequence[str]) -> AttributeError:
    """Return the error for a name that a package does not export, with the closest exported names."""
    near = get_close_matches(name, known, n=3, cutoff=0.6)
    hint = f": did you mean {' or '.join(near)}?" if near else ""
    return AttributeError(f"module '{module}' has no attribute '{name}'{hint}", name=name)


def did_you_mean(name: str, known: Sequence[str], more: Sequence[str] = ()) -> str:
    """Return a hint with the closest known names, or all known names if none is close.

    Names in `more` are suggested only if close.
    """
    near = get_close_matches(name, [*known, *more], n=3, cutoff=0.5)
    return f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known)}"


def first_line(error: BaseException) -> str:
    """Return the first line of an exception's message, or its class name if the message is empty."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:_LONGEST]


def check_number(
    name: str,
    value: float | None,
    least: float | None = None,
    *,
    most: float | None = None,
    above: float | None = None,
) -> None:
    """Raise if an option is not a finite number within its range; None means the option was not given.

    Args:
        name: Name of the option in the message.
        value: The number.
        least: Minimum (inclusive).
        most: Maximum (inclusive).
        above: Minimum (exclusive); replaces `least`.

    Raises:
        CallError: If the value is not finite or out of range.
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
