"""Work beside the model: the next input is made, and the last result finished, in other threads, in order."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

__all__ = ["ahead", "behind"]

T = TypeVar("T")


def ahead(items: Iterator[T]) -> Iterator[T]:
    """Yield the items, each computed in another thread while the previous one is in use."""
    with ThreadPoolExecutor(1) as pool:
        coming: Future[tuple[T] | None] = pool.submit(_next, items)
        while (item := coming.result()) is not None:
            coming = pool.submit(_next, items)
            yield item[0]


def _next(items: Iterator[T]) -> tuple[T] | None:
    return next(((item,) for item in items), None)


def behind(calls: Iterable[Callable[[], T]]) -> Iterator[T]:
    """Yield what calls return, in order, each made in another thread while the next one is prepared here.

    At most one call waits behind the one in progress. What was handed over is finished even if preparing the next one
    fails or is interrupted; a fault of a call reaches the caller in its turn.
    """
    with ThreadPoolExecutor(1) as pool:
        running: Future[T] | None = None
        for call in calls:
            following = pool.submit(call)
            if running is not None:
                yield running.result()
            running = following
        if running is not None:
            yield running.result()
