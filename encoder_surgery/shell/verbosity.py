"""How much a command says on stderr: nothing but warnings and errors, the usual, or every detail."""

import logging
from enum import IntEnum

__all__ = ["Verbosity", "set_verbosity", "verbosity"]


class Verbosity(IntEnum):
    """Levels of output on stderr; the values are those of `logging`."""

    QUIET = logging.WARNING
    NORMAL = logging.INFO
    VERBOSE = logging.DEBUG


_level = Verbosity.NORMAL


def set_verbosity(*, quiet: bool, verbose: bool) -> None:
    """Set the level of this process from the flags of a command; `quiet` wins."""
    global _level  # noqa: PLW0603 - a property of the process, as the level of the root logger
    _level = Verbosity.QUIET if quiet else Verbosity.VERBOSE if verbose else Verbosity.NORMAL


def verbosity() -> Verbosity:
    """Return the level of this process."""
    return _level
