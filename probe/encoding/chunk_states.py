"""Pooled states of texts, chunk by chunk: from the store, or from the model and then stored."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from probe.data.dataset import Dataset
from probe.data.texts import Documents, SelectedTexts, Texts, chunks
from probe.encoding.pipelining import ahead, behind
from probe.encoding.reader import LayerReader, LayerStates, PreparedTexts
from probe.layers.hookpoint import HEAD, OWN, POOLING_NAMES, TOKENS, LayerPooling
from probe.metrics.vectors import Embeddings
from probe.models.tokenization import Role
from probe.store.cached_side import CachedSide
from probe.store.chunk_file import ChunkRecord, Stored, dequantize, keep_exact, quantize
from probe.store.keys import CHUNK, content_ids, shelf_parts
from probe.store.store import Found, Shelf, Store

__all__ = [
    "ChunkStates",
    "NumberedTexts",
    "Progress",
    "PromptedTexts",
    "RunContext",
    "describe_shelf",
    "open_shelf",
    "prompted_documents",
    "prompted_queries",
    "read_chunk",
    "read_states",
    "read_texts",
    "silent",
]

_log = logging.getLogger(__name__)

# Called with the step's name, the texts done since the last call, and the total; the part of the name after ': ' is
# its changing status.
Progress = Callable[[str, int, int], None]


def silent(step: str, done: int, total: int) -> None:
    """Report nothing."""


@dataclass(frozen=True)
class RunContext:
    """Environment of a run; it does not affect the numbers.

    Attributes:
        store: Store for states, or None.
        progress: Called after every batch.
        again: Whether the run reads the same states again, so that even a temporary store should keep them.
    """

    store: Store | None = None
    progress: Progress = silent
    again: bool = False

    @property
    def pass_store(self) -> Store | None:
        """The store of one pass over texts."""
        return self.store if self.store is None or self.again else self.store.for_last_pass()


@dataclass(frozen=True)
class PromptedTexts:
    """One side of a data set, documents or queries, with its prompt.

    Attributes:
        name: `documents` or `queries`.
        texts: The texts.
        role: Role of the texts.
        dataset: Name of the data set.
    """

    name: str
    texts: Documents
    role: Role
    dataset: str


@dataclass(frozen=True)
class ChunkStates:
    """States of one chunk of texts.

    Attributes:
        ids: Ids of the C texts.
        vectors: Float32 `(C, D)` by layer and pooling, rounded as in the store; tokens as packed by `pack_tokens`.
        seconds: Time from the start of the forward to each layer, summed over the batches.
        truncated: Number of texts longer than the maximum length.
        timed: Whether all of it was computed, and therefore timed, in this run.
    """

    ids: tuple[str, ...]
    vectors: dict[LayerPooling, Embeddings]
    seconds: dict[int, float]
    truncated: int
    timed: bool = False


@dataclass(frozen=True)
class NumberedTexts:
    """A chunk of texts with its number, from 0."""

    number: int
    texts: Texts


def prompted_documents(reader: LayerReader, dataset: Dataset) -> PromptedTexts:
    """Return a data set's documents with the model's document prompt."""
    return PromptedTexts("documents", dataset.documents, reader.model.as_document, dataset.name)


def prompted_queries(reader: LayerReader, dataset: Dataset) -> PromptedTexts:
    """Return a data set's queries with the model's query prompt."""
    return PromptedTexts("queries", dataset.queries, reader.model.as_query, dataset.name)


def read_states(
    reader: LayerReader,
    side: PromptedTexts,
    layer_poolings: Sequence[LayerPooling],
    *,
    context: RunContext = RunContext(),
) -> Iterator[ChunkStates]:
    """Yield the states of one side, chunk by chunk; only states missing from the store are computed.

    Vectors are rounded as in the store, even without a store, so results do not depend on whether vectors were cached.
    While the model runs on one chunk, the next is read and tokenized, and the last is rounded and written.
    States of `SelectedTexts` are rows of those of all texts, except for token states, which are read for them alone.

    Args:
        reader: Reader of the model.
        side: The texts.
        layer_poolings: Layers and poolings to read.
        context: Store, and callback after every batch.

    Yields:
        States of at most `CHUNK` texts, in order.
    """
    if isinstance(side.texts, SelectedTexts) and all(pooling != TOKENS for _, pooling in layer_poolings):
        whole = read_states(reader, replace(side, texts=side.texts.whole), layer_poolings, context=context)
        yield from _select(whole, side.texts, lambda texts: reader.prepare(texts, side.role).truncated)
        return
    shelf = open_shelf(reader, side, layer_poolings, store=context.pass_store)
    looked_up = (
        _look_up(reader, shelf, NumberedTexts(number, texts), role=side.role, layer_poolings=layer_poolings)
        for number, texts in enumerate(chunks(side.texts, CHUNK))
    )
    yield from behind(
        _complete(reader, shelf, work, report=lambda done: context.progress(side.name, done, len(side.texts)))
        for work in ahead(looked_up)
    )


def _select(
    chunks: Iterable[ChunkStates], selected: SelectedTexts, count_truncated: Callable[[Sequence[str]], int]
) -> Iterator[ChunkStates]:
    """Yield the states of the selected texts; times are those of whole chunks, and therefore not of this run."""
    first, rows = 0, np.array(selected.rows, np.int64)
    for chunk in chunks:
        low, high = np.searchsorted(rows, [first, first + len(chunk.ids)])
        vectors = {key: states[rows[low:high] - first] for key, states in chunk.vectors.items()}
        truncated = count_truncated(selected.texts[low:high]) if chunk.truncated else 0
        yield ChunkStates(selected.ids[low:high], vectors, chunk.seconds, truncated)
        first += len(chunk.ids)


def read_texts(
    reader: LayerReader,
    parts: Sequence[tuple[str, Texts]],
    layer_poolings: Sequence[LayerPooling],
    *,
    context: RunContext,
) -> tuple[dict[LayerPooling, Embeddings], int]:
    """Return the states of texts with the model's document prompt.

    Args:
        reader: Reader of the model.
        parts: Texts, each part with the name of its data set; each part has its own store entry.
        layer_poolings: Layers and poolings to read.
        context: Store, and callback after every batch.

    Returns:
        Float32 `(N, D)` by layer and pooling, parts concatenated; and the number of truncated texts.
    """
    role = reader.model.as_document
    chunks = [
        chunk
        for name, texts in parts
        for chunk in read_states(reader, PromptedTexts("texts", texts, role, name), layer_poolings, context=context)
    ]
    states = {key: np.concatenate([chunk.vectors[key] for chunk in chunks]) for key in layer_poolings}
    return states, sum(chunk.truncated for chunk in chunks)


def read_chunk(
    reader: LayerReader,
    shelf: Shelf | None,
    chunk: NumberedTexts,
    *,
    role: Role,
    layer_poolings: Sequence[LayerPooling],
) -> ChunkStates:
    """Return the states of one chunk as in `read_states`: stored, or computed and then stored."""
    work = _look_up(reader, shelf, chunk, role=role, layer_poolings=layer_poolings)
    return _complete(reader, shelf, work, report=lambda done: None)()


def open_shelf(
    reader: LayerReader, side: PromptedTexts, layer_poolings: Sequence[LayerPooling], *, store: Store | None
) -> Shelf | None:
    """Open the store entry of one side, if there is a store, and log how much of it is cached."""
    if store is None:
        return None
    shelf = store.shelf(
        *describe_shelf(reader, side),
        content_ids(
            reader.model, side.role, [reader.at(key) for key in layer_poolings], token_budget=reader.token_budget
        ),
    )
    if not store.temporary:
        name, texts = reader.model.source.name, len(side.texts)
        cached = CachedSide.look_at(shelf, layer_poolings, name, side=side.name, texts=texts, chunk_size=CHUNK)
        _log.info("%s", cached)
    return shelf


def describe_shelf(reader: LayerReader, side: PromptedTexts) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the key parts of an entry (everything that determines its vectors) and its description."""
    about = {
        "model": reader.model.source.name,
        "hub_id": reader.model.source.hub_id,
        "dataset": side.dataset,
        "side": side.name,
        "texts": len(side.texts),
    }
    return shelf_parts(reader.model, side.role, side.texts.text_hash, token_budget=reader.token_budget), about


@dataclass(frozen=True)
class _Work:
    """A chunk, its stored states, and its prepared texts if states are missing."""

    chunk: NumberedTexts
    found: Found
    missing: tuple[LayerPooling, ...]
    prepared: PreparedTexts | None


def _look_up(
    reader: LayerReader,
    shelf: Shelf | None,
    chunk: NumberedTexts,
    *,
    role: Role,
    layer_poolings: Sequence[LayerPooling],
) -> _Work:
    found = shelf.find(chunk.number, chunk.texts.text_hash, layer_poolings) if shelf else Found({}, {}, 0)
    missing = tuple(key for key in layer_poolings if key not in found.tensors)
    prepared = reader.prepare(chunk.texts.texts, role) if missing else None
    return _Work(chunk, found, missing, prepared)


def _complete(
    reader: LayerReader, shelf: Shelf | None, work: _Work, *, report: Callable[[int], None]
) -> Callable[[], ChunkStates]:
    """Run the model on a chunk; the function returned rounds and stores its states, and needs no model."""
    if work.prepared is None:
        report(len(work.chunk.texts))
        return partial(_finish, shelf, work, None)
    return partial(_finish, shelf, work, reader.run(work.prepared, work.missing, report))


def _finish(shelf: Shelf | None, work: _Work, states: LayerStates | None) -> ChunkStates:
    found, texts = work.found, work.chunk.texts
    tensors, seconds, truncated = dict(found.tensors), dict(found.seconds), found.truncated
    if states is not None:
        new = {key: _stored(key, vectors) for key, vectors in states.vectors.items()}
        if shelf is not None:
            record = ChunkRecord(shelf.key, texts.text_hash, states.truncated, states.seconds, {})
            shelf.put(work.chunk.number, new, record)
        tensors, seconds, truncated = {**tensors, **new}, {**states.seconds, **seconds}, states.truncated
    vectors = {key: dequantize(tensor) for key, tensor in tensors.items()}
    timed = not found.tensors or (shelf is not None and shelf.temporary)
    return ChunkStates(texts.ids, vectors, seconds, truncated, timed=timed)


def _stored(layer_pooling: LayerPooling, vectors: Embeddings) -> Stored:
    """Return pooled states in stored form; tokens and scores keep full precision."""
    return quantize(vectors) if layer_pooling[1] in (*POOLING_NAMES, HEAD, OWN) else keep_exact(vectors)
