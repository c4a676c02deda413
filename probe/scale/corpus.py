"""The corpus on a Ray cluster: chunk numbers are sent one by one, with a limit on chunks in progress.

This module does not need a model, so its processes start quickly.
"""

import asyncio
import os
import pickle
import socket
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from probe.data.dataset import Dataset
from probe.data.sampling import SampleSize
from probe.data.texts import Documents, Texts
from probe.errors import CallError, DataError, ModelError, ProbeError, first_line
from probe.sources.loading import load_dataset

__all__ = ["CorpusSetup", "DatasetSource", "FlowControl", "explain", "number_chunks", "set_up_corpus"]


@dataclass(frozen=True)
class DatasetSource:
    """Arguments of `load_dataset` to load a data set again."""

    name: str
    split: str | None = None
    limit: int | SampleSize | None = None


@dataclass(frozen=True)
class CorpusSetup:
    """A corpus to open in a worker.

    Attributes:
        documents: The corpus if it is a handle of files; None if it has to be loaded by name.
        source: Its data set, if known by name.
        count: Number of documents.
        text_hash: sha256 of all ids and texts.
        size: Number of documents per chunk.
        folder: Base folder of relative paths.
    """

    documents: Documents | None
    source: DatasetSource | None
    count: int
    text_hash: str
    size: int
    folder: str

    @property
    def chunks(self) -> int:
        """Number of chunks."""
        return -(-self.count // self.size)

    def open(self) -> Documents:
        """Return the corpus; changes the working directory so that relative paths are resolved as in the caller.

        Raises:
            CallError, DataError: If it is unavailable here.
            ModelError: If its contents differ here.
        """
        if os.path.isdir(self.folder):
            os.chdir(self.folder)
        if self.documents is not None and (self.source is None or _is_here(self.documents)):
            return self.documents
        source = self.source or DatasetSource("")
        documents = load_dataset(source.name, source.split, source.limit).documents
        if documents.text_hash != self.text_hash:
            raise ModelError(f"'{source.name}' has different texts here: use the same files on every machine")
        return documents


def _is_here(documents: Documents) -> bool:
    try:
        documents.read(0, 1)
    except DataError:
        return False
    return True


def set_up_corpus(dataset: Dataset, source: DatasetSource | None, size: int) -> CorpusSetup:
    """Return how other processes open a data set's documents: from a handle or by name.

    Raises:
        CallError: If the documents cannot be sent and have no name.
    """
    documents = dataset.documents
    sent = documents if _can_be_sent(documents) else None
    if sent is None and source is None:
        raise CallError("documents in memory cannot be sent to another process: pass the data set by name")
    return CorpusSetup(sent, source, len(documents), documents.text_hash, size, os.getcwd())


def _can_be_sent(documents: Documents) -> bool:
    """Return whether a corpus is a handle that other processes can use, not texts in memory."""
    if isinstance(getattr(documents, "documents", documents), Texts):
        return False
    try:
        pickle.dumps(documents)
    except (TypeError, AttributeError, pickle.PicklingError):
        return False
    return True


class FlowControl:
    """Limits the number of chunks in progress, and counts how often each was started."""

    def __init__(self, ahead: int) -> None:
        """Allow `ahead` chunks at a time."""
        self._limit = ahead
        self._moved = asyncio.Condition()
        self._begun: Counter[int] = Counter()

    async def wait(self, number: int) -> None:
        """Return once a chunk may be sent."""
        async with self._moved:
            await self._moved.wait_for(lambda: number < self._limit)

    async def begin(self, number: int) -> int:
        """Return how often a chunk was started, including this time."""
        self._begun[number] += 1
        return self._begun[number]

    async def close(self, number: int) -> None:
        """Mark a chunk as done, which allows another one."""
        async with self._moved:
            del self._begun[number]
            self._limit += 1
            self._moved.notify_all()


def number_chunks(row: dict[str, Any], chunks: int, flow: Any) -> Iterator[dict[str, int]]:
    """Yield a row per chunk with its number, not its texts; Ray Data starts from one empty row."""
    import ray

    for number in range(chunks):
        ray.get(flow.wait.remote(number))
        yield {"number": number}


def explain(error: Exception, host: bool = True) -> str:
    """Return the first line of an error after the host name, with its class unless it is a ProbeError."""
    line = first_line(error) if isinstance(error, ProbeError) else f"{type(error).__name__}: {first_line(error)}"
    return f"{socket.gethostname()}: {line}" if host else line
