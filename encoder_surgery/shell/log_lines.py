"""How much a command says on stderr, and log messages there; those on cached vectors become a line per model."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum

from probe.store.cached_side import CachedSide, describe_cached

__all__ = ["CacheLines", "Verbosity", "log_to", "set_verbosity", "verbosity"]

_OWN_LOGGERS = ("probe", "adaptors")


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


class CacheLines:
    """One message per model on its cached queries and documents; models with nothing to encode share a message."""

    def __init__(self, say: Callable[[str], None]) -> None:
        """Pass messages to `say`."""
        self._say = say
        self._queries: dict[str, CachedSide] = {}
        self._cached: dict[str, list[CachedSide]] = {}
        self._said: set[str] = set()
        self._sides: dict[tuple[str, str, int], CachedSide] = {}

    def add(self, side: CachedSide) -> None:
        """Add a side; queries are held back until the documents follow."""
        self._sides[side.model, side.side, side.texts] = side
        if side.side == "queries":
            self._queries[side.model] = side
        else:
            self._add([*self._waiting(side.model), side])

    def flush(self) -> None:
        """Report the sides held back."""
        for model in list(self._queries):
            self._add(self._waiting(model))

    def close(self) -> None:
        """Report the rest: queries without documents, and models with nothing to encode."""
        self.flush()
        silent = [sides for model, sides in self._cached.items() if model not in self._said]
        if len(silent) == 1:
            self._say(describe_cached(silent[0]))
        elif silent:
            self._say(f"Cache: all vectors of {len(silent)} models; nothing to encode")

    def count(self) -> tuple[int, int]:
        """Return how many chunks of all texts seen so far are cached now, and how many there are."""
        sides = self._sides.values()
        return sum(side.count() for side in sides), sum(side.chunks for side in sides)

    def _waiting(self, model: str) -> list[CachedSide]:
        side = self._queries.pop(model, None)
        return [] if side is None else [side]

    def _add(self, sides: list[CachedSide]) -> None:
        model, kinds = sides[0].model, {side.side for side in sides}
        if not any(side.left for side in sides):
            self._cached.setdefault(model, sides)
        elif model not in self._said or kinds != {"queries"}:
            self._said.add(model)
            self._say(describe_cached(sides))


class _Handler(logging.Handler):
    """A handler that prints records as plain lines, marks warnings, and passes cache messages to `CacheLines`."""

    def __init__(self, say: Callable[[str], None], cache: CacheLines) -> None:
        super().__init__()
        self._say, self._cache = say, cache

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record."""
        for side in record.args if isinstance(record.args, tuple) else ():
            if isinstance(side, CachedSide):
                self._cache.add(side)
                return
        mark = "warning: " if record.levelno >= logging.WARNING else ""
        self._say(mark + record.getMessage())


@contextmanager
def log_to(say: Callable[[str], None], cache: CacheLines) -> Iterator[None]:
    """Pass the packages' log messages to `say`, at the level of `--quiet` and `--verbose`."""
    loggers, handler = [logging.getLogger(name) for name in _OWN_LOGGERS], _Handler(say, cache)
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(verbosity())
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)
