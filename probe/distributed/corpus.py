"""The corpus on a Ray cluster: the numbers of its chunks go out one by one, not too many at a time.

What is here needs no model, so that the processes that run it start quickly.
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
from probe.data.loading import load_dataset
from probe.data.texts import Documents, Texts
from probe.errors import CallError, DataError, ModelError, ProbeError, first_line

__all__ = ["CorpusSetup", "DatasetSource", "FlowControl", "explain", "number_chunks", "set_up_corpus"]


@dataclass(frozen=True)
class DatasetSource:
    """How to load a data set again: the arguments of `load_dataset`."""

    name: str
    split: str | None = None
    limit: int | None = None


@dataclass(frozen=True)
class CorpusSetup:
    """A corpus that a worker opens.

    Attributes:
        documents: The corpus, where it is a handle on files; None where it has to be loaded by name.
        source: The data set it belongs to, where that is known by name.
        count: Number of documents.
        text_hash: sha256 over all its ids and texts.
        size: Documents of a chunk.
        folder: The folder that relative paths start from.
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
        """Return the corpus; relative paths mean from now on what they meant where it was ordered.

        Raises:
            CallError, DataError: It cannot be had here.
            ModelError: It is another one here.
        """
        if os.path.isdir(self.folder):
            os.chdir(self.folder)
        if self.documents is not None and (self.source is None or _is_here(self.documents)):
            return self.documents
        source = self.source or DatasetSource("")
        documents = load_dataset(source.name, source.split, source.limit).documents
        if documents.text_hash != self.text_hash:
            raise ModelError(f"'{source.name}' has other texts here: give every machine the same files")
        return documents


def _is_here(documents: Documents) -> bool:
    try:
        documents.read(0, 1)
    except DataError:
        return False
    return True


def set_up_corpus(dataset: Dataset, source: DatasetSource | None, size: int) -> CorpusSetup:
    """Return how other processes open a data set's documents, by themselves or by name.

    Raises:
        CallError: The documents cannot be sent, and have no name.
    """
    documents = dataset.documents
    sent = documents if _can_be_sent(documents) else None
    if sent is None and source is None:
        raise CallError("documents in memory cannot be sent to another process: name their data set")
    return CorpusSetup(sent, source, len(documents), documents.text_hash, size, os.getcwd())


def _can_be_sent(documents: Documents) -> bool:
    """Return whether a corpus is a handle that another process can use: not texts in memory."""
    if isinstance(getattr(documents, "documents", documents), Texts):
        return False
    try:
        pickle.dumps(documents)
    except (TypeError, AttributeError, pickle.PicklingError):
        return False
    return True


class FlowControl:
    """Lets chunks go out only a few ahead of those that are done, and counts how often each was begun."""

    def __init__(self, ahead: int) -> None:
        """Let the first `ahead` chunks through."""
        self._limit = ahead
        self._moved = asyncio.Condition()
        self._begun: Counter[int] = Counter()

    async def wait(self, number: int) -> None:
        """Return when a chunk may go out."""
        async with self._moved:
            await self._moved.wait_for(lambda: number < self._limit)

    async def begin(self, number: int) -> int:
        """Return how often a chunk was begun, this time included."""
        self._begun[number] += 1
        return self._begun[number]

    async def close(self, number: int) -> None:
        """Forget a chunk that is done, and let one more go out."""
        async with self._moved:
            del self._begun[number]
            self._limit += 1
            self._moved.notify_all()


def number_chunks(row: dict[str, Any], chunks: int, flow: Any) -> Iterator[dict[str, int]]:
    """Yield a row per chunk of the corpus: its number, not its texts; Ray Data begins with one empty row."""
    import ray

    for number in range(chunks):
        ray.get(flow.wait.remote(number))
        yield {"number": number}


def explain(error: Exception, host: bool = True) -> str:
    """Return the first line of an error, after the machine's name; its kind, too, where it is none of ours."""
    line = first_line(error) if isinstance(error, ProbeError) else f"{type(error).__name__}: {first_line(error)}"
    return f"{socket.gethostname()}: {line}" if host else line
