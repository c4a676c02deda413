"""The log of our own packages on stderr; what it says of cached vectors, as a line per model."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from encoder_surgery.shell.verbosity import verbosity
from probe.store.cached_side import CachedSide, describe_cached

__all__ = ["CacheLines", "log_to"]

_OWN_LOGGERS = ("probe", "adaptors")


class CacheLines:
    """Says once per model what is cached of its queries and documents; models with nothing to encode share a line."""

    def __init__(self, say: Callable[[str], None]) -> None:
        """Give lines to `say`."""
        self._say = say
        self._queries: dict[str, CachedSide] = {}
        self._cached: dict[str, list[CachedSide]] = {}
        self._said: set[str] = set()
        self._sides: dict[tuple[str, str, int], CachedSide] = {}

    def add(self, side: CachedSide) -> None:
        """Take in a side; queries wait for the documents, which follow soon."""
        self._sides[side.model, side.side, side.texts] = side
        if side.side == "queries":
            self._queries[side.model] = side
        else:
            self._add([*self._waiting(side.model), side])

    def flush(self) -> None:
        """Say what waits."""
        for model in list(self._queries):
            self._add(self._waiting(model))

    def close(self) -> None:
        """Say the rest: queries that no documents followed, and models with nothing to encode."""
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
    """Prints log records as plain lines, warnings marked, and what is cached through `CacheLines`."""

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
    """Give the log of our own packages to `say`, line by line, as far as `--quiet` and `--verbose` ask for it."""
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
