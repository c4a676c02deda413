"""The workers of a Ray cluster: each holds the models and reads chunks of the corpus."""

import copy
import logging
import os
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from probe.ray_corpus import explain
from probe.ray_orders import Orders
from probe.scan import ChunkFound, find_in_chunk, points_of
from probe.states import NumberedTexts, read_chunk
from probe.texts import Texts

__all__ = ["ChunkWorker", "Reply"]


# How often a chunk is begun, where the process or the machine that reads it is lost each time.
_TRIES = 5


@dataclass(frozen=True)
class Reply:
    """What a worker says of a chunk.

    Attributes:
        number: The chunk's; -1 where it is about none.
        found: What was found in it, if it could be read.
        fault: What went wrong, if anything.
        fatal: Whether no other chunk can be read either.
        warnings: What was logged meanwhile.
    """

    number: int
    found: ChunkFound | None = None
    fault: str = ""
    fatal: bool = False
    warnings: tuple[str, ...] = ()


class ChunkWorker:
    """Holds the models, opened once, and reads chunks one by one; Ray Data makes its actors of it."""

    def __init__(self, orders: Any, gate: Any) -> None:
        """Wait for the first chunk, with a reference to the `Orders` and a handle of the `Gate`."""
        self._orders = orders
        self._gate = gate
        self._desk: _Desk | None = None

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[bytes]]:
        """Return the reply to one chunk, pickled.

        Args:
            batch: One row of `tell_chunks`.
        """
        with _warnings_kept() as warnings:
            reply = self._answer(int(batch["number"][0]))
        return {"reply": [pickle.dumps(replace(reply, warnings=tuple(warnings)))]}

    def _answer(self, number: int) -> Reply:
        import ray

        if ray.get(self._gate.begin.remote(number)) > _TRIES:
            return Reply(number, fault=f"chunk {number}: {_TRIES} workers were lost while they read it")
        try:
            self._desk = self._desk or _Desk(self._orders)
        except Exception as error:
            return Reply(number, fault=f"a worker cannot begin on {explain(error)}", fatal=True)
        return self._desk.answer(number)


class _Desk:
    """A worker's open models, shelves and corpus, and the best that it has seen of all chunks it read."""

    def __init__(self, orders: Any) -> None:
        """Open everything that the orders name."""
        import ray
        import torch

        # As many threads as cores to each worker would be too many, and the number can decide the last bits.
        torch.set_num_threads(1)
        os.environ.setdefault("RAYON_NUM_THREADS", "1")
        self._orders: Orders = ray.get(orders)
        self._documents, self._size = self._orders.corpus.open(), self._orders.corpus.size
        self._readers = {order.name: order.open(self._orders.store) for order in self._orders.models}
        store = self._orders.store
        self._shelves = {o.name: store.shelf(o.parts, o.about) if store else None for o in self._orders.models}
        self._contest = copy.deepcopy(self._orders.tracker)
        self._seen: set[int] = set()

    def answer(self, number: int) -> Reply:
        """Return what was found in a chunk, or what went wrong."""
        texts = None
        try:
            texts = self._documents.read(number * self._size, self._size)
            return Reply(number, self._find(number, texts))
        except Exception as error:
            named = f"chunk {number}" + (f" (documents {texts.ids[0]} to {texts.ids[-1]})" if texts else "")
            return Reply(number, fault=f"{named}: {explain(error, host=False)}")

    def _find(self, number: int, texts: Texts) -> ChunkFound:
        states = [
            (
                reader,
                read_chunk(
                    reader,
                    self._shelves[name],
                    NumberedTexts(number, texts),
                    reader.model.document_prompt,
                    list(points_of(self._contest, reader)),
                ),
            )
            for name, reader in self._readers.items()
        ]
        # What was seen before must not count against itself when it is asked for again.
        tracker = copy.deepcopy(self._orders.tracker) if number in self._seen else self._contest
        found = find_in_chunk(tracker, number * self._size, states)
        tracker.take(found.top)
        self._seen.add(number)
        return found


@contextmanager
def _warnings_kept() -> Iterator[list[str]]:
    """Collect what our own code warns of."""
    kept: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: kept.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("probe")
    logger.addHandler(handler)
    try:
        yield kept
    finally:
        logger.removeHandler(handler)
