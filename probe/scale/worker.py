"""Workers of a Ray cluster: each holds the models and encodes chunks of the corpus."""

import copy
import logging
import os
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from probe.data.sampling import read_forward
from probe.data.texts import Texts
from probe.encoding.chunk_states import NumberedTexts, read_chunk
from probe.evaluation.scan import ChunkFound, find_in_chunk, points_of
from probe.scale.corpus import explain
from probe.scale.worker_setup import WorkerSetup

__all__ = ["ChunkResult", "ChunkWorker"]


# Number of attempts for a chunk whose process or machine was lost.
_TRIES = 5


@dataclass(frozen=True)
class ChunkResult:
    """Result of a worker for a chunk.

    Attributes:
        number: Number of the chunk; -1 if it concerns none.
        found: Results, unless it failed.
        fault: Reason of the failure, if any.
        fatal: Whether all other chunks would fail too.
        warnings: Warnings logged in the meantime.
    """

    number: int
    found: ChunkFound | None = None
    fault: str = ""
    fatal: bool = False
    warnings: tuple[str, ...] = ()


class ChunkWorker:
    """Holds the models, opened once, and processes chunks one by one; Ray Data runs it as actors."""

    def __init__(self, setup: Any, flow: Any) -> None:
        """Wait for the first chunk, given a reference to the `WorkerSetup` and a handle of the `FlowControl`."""
        self._setup = setup
        self._flow = flow
        self._open: _OpenWorker | None = None

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[bytes]]:
        """Return the pickled result of one chunk, given its row from `number_chunks`."""
        with _warnings_kept() as warnings:
            result = self._answer(int(batch["number"][0]))
        return {"result": [pickle.dumps(replace(result, warnings=tuple(warnings)))]}

    def _answer(self, number: int) -> ChunkResult:
        import ray

        if ray.get(self._flow.begin.remote(number)) > _TRIES:
            return ChunkResult(number, fault=f"chunk {number}: failed {_TRIES} times because its worker was lost")
        try:
            self._open = self._open or _OpenWorker(self._setup)
        except Exception as error:
            return ChunkResult(number, fault=f"a worker cannot start on {explain(error)}", fatal=True)
        return self._open.answer(number)


class _OpenWorker:
    """A worker's open models, store entries and corpus, and the best scores of all its chunks."""

    def __init__(self, setup: Any) -> None:
        """Open everything in the setup."""
        import ray
        import torch

        # One thread per core in every worker would be too many, and the thread count can affect the last bits.
        torch.set_num_threads(1)
        os.environ.setdefault("RAYON_NUM_THREADS", "1")
        self._setup: WorkerSetup = ray.get(setup)
        self._documents, self._size = read_forward(self._setup.corpus.open()), self._setup.corpus.size
        self._readers = {model.name: model.open(self._setup.store) for model in self._setup.models}
        store = self._setup.store
        self._shelves = {
            m.name: store.shelf(m.parts, m.about, m.contents) if store else None for m in self._setup.models
        }
        self._tracker = copy.deepcopy(self._setup.tracker)
        self._seen: set[int] = set()

    def answer(self, number: int) -> ChunkResult:
        """Return the result of a chunk, or its fault."""
        texts = None
        try:
            texts = self._documents.read(number * self._size, self._size)
            return ChunkResult(number, self._find(number, texts))
        except Exception as error:
            named = f"chunk {number}" + (f" (documents {texts.ids[0]} to {texts.ids[-1]})" if texts else "")
            return ChunkResult(number, fault=f"{named}: {explain(error, host=False)}")

    def _find(self, number: int, texts: Texts) -> ChunkFound:
        states = [
            (
                reader,
                read_chunk(
                    reader,
                    self._shelves[name],
                    NumberedTexts(number, texts),
                    role=reader.model.as_document,
                    layer_poolings=list(points_of(self._tracker, reader)),
                ),
            )
            for name, reader in self._readers.items()
        ]
        # Earlier scores must not exclude a chunk's own results when it is processed again.
        tracker = copy.deepcopy(self._setup.tracker) if number in self._seen else self._tracker
        found = find_in_chunk(tracker, number * self._size, states)
        tracker.take(found.top)
        self._seen.add(number)
        return found


@contextmanager
def _warnings_kept() -> Iterator[list[str]]:
    """Collect the warnings of this package."""
    kept: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: kept.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("probe")
    logger.addHandler(handler)
    try:
        yield kept
    finally:
        logger.removeHandler(handler)
