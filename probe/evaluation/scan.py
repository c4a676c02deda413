"""A pass over the documents, in this process or by another engine with the same results per chunk."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from probe.data.dataset import Dataset
from probe.encoding.chunk_states import ChunkStates, PromptedTexts, RunContext, prompted_documents, read_states
from probe.encoding.reader import LayerReader
from probe.evaluation.tracker import ChunkTopK, TopKTracker
from probe.layers.hookpoint import Hookpoint, LayerPooling

__all__ = ["ChunkFound", "Cost", "Engine", "Scan", "find_in_chunk", "points_of", "read_points", "scan_here"]


@dataclass(frozen=True)
class Scan:
    """A pass over the documents to be run.

    Attributes:
        tracker: Tracker of the encoders, with the queries added.
        readers: Readers of the models that encode documents, by the model names in hookpoints.
        dataset: Data set of the documents.
        context: Store, and callback with the number of documents done.
    """

    tracker: TopKTracker
    readers: Mapping[str, LayerReader]
    dataset: Dataset
    context: RunContext


@dataclass(frozen=True)
class Cost:
    """Cost of one chunk of documents for one model.

    Attributes:
        seconds: Time from the start of the forward to each layer, summed over the batches.
        truncated: Number of documents longer than the maximum length.
        timed: Whether all of it was computed, and therefore timed, in this run.
    """

    seconds: dict[int, float]
    truncated: int
    timed: bool = False


@dataclass(frozen=True)
class ChunkFound:
    """Results in one chunk of documents, and the cost by model."""

    top: ChunkTopK
    costs: dict[str, Cost]


class Engine(Protocol):
    """Runs passes over documents."""

    def __call__(self, scan: Scan) -> Iterator[ChunkFound]:
        """Yield the results in every chunk, in any order; the caller adds them to the tracker."""


def scan_here(scan: Scan) -> Iterator[ChunkFound]:
    """Run a pass in this process, with the models side by side."""
    start = 0
    for states in zip(*[_read_documents(scan, name) for name in scan.readers], strict=True):
        yield find_in_chunk(scan.tracker, start, list(zip(scan.readers.values(), states, strict=True)))
        start += len(states[0].ids)


def _read_documents(scan: Scan, name: str) -> Iterator[ChunkStates]:
    reader = scan.readers[name]
    label = f" ({name})" if len(scan.readers) > 1 else ""
    return read_points(
        reader, prompted_documents(reader, scan.dataset), scan.tracker, context=scan.context, label=label
    )


def read_points(
    reader: LayerReader, side: PromptedTexts, tracker: TopKTracker, *, context: RunContext, label: str
) -> Iterator[ChunkStates]:
    """Yield the states of a side at the tracker's hookpoints of a model; `label` distinguishes its progress."""
    layer_poolings, name = list(points_of(tracker, reader, side.name)), f"{side.name}{label}"
    return read_states(
        reader,
        side,
        layer_poolings,
        context=replace(context, progress=lambda _, done, total: context.progress(name, done, total)),
    )


def points_of(tracker: TopKTracker, reader: LayerReader, side: str = "documents") -> dict[LayerPooling, Hookpoint]:
    """Return a model's hookpoints in a tracker on one side, by the layer and pooling its reader reads for them."""
    points = tracker.document_points if side == "documents" else tracker.query_points
    return {reader.at(point.layer_pooling): point for point in points if point.model == reader.model.source.name}


def find_in_chunk(tracker: TopKTracker, start: int, states: Sequence[tuple[LayerReader, ChunkStates]]) -> ChunkFound:
    """Return the results in the chunk that starts at document `start`, and the cost by model."""
    vectors = {
        point: chunk.vectors[key] for reader, chunk in states for key, point in points_of(tracker, reader).items()
    }
    costs = {reader.model.source.name: Cost(chunk.seconds, chunk.truncated, chunk.timed) for reader, chunk in states}
    return ChunkFound(tracker.find(start, states[0][1].ids, vectors), costs)
