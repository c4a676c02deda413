"""Stored states of a few random vectors, and a reader that notes what the model really ran."""

from collections.abc import Callable, Sequence

import numpy as np

from probe.encoding.chunk_states import ChunkStates
from probe.encoding.reader import LayerReader, LayerStates, PreparedTexts
from probe.layers.hookpoint import LayerPooling
from probe.metrics.vectors import Embeddings
from probe.models.info import ModelProfile
from probe.store.chunk_file import ChunkRecord, Stored, quantize
from probe.store.store import Shelf

__all__ = ["ABOUT", "EVERYWHERE", "PARTS", "PLACES", "Spy", "joined", "put", "same", "states"]

PARTS = {"weights_sha256": "w", "prompt": "", "dtype": "float32"}
ABOUT = {"model": "m", "dataset": "d", "side": "documents", "texts": 8}
PLACES: list[LayerPooling] = [(0, "cls"), (0, "mean")]
EVERYWHERE: list[LayerPooling] = [(layer, pooling) for layer in range(4) for pooling in ("cls", "mean")]


def states(seed: int = 0, places: list[LayerPooling] = PLACES) -> dict[LayerPooling, Stored]:
    dice = np.random.default_rng(seed)
    return {place: quantize(dice.normal(size=(4, 8)).astype(np.float32)) for place in places}


def put(shelf: Shelf, number: int = 0, text_hash: str = "t", places: list[LayerPooling] = PLACES) -> None:
    record = ChunkRecord(shelf.key, text_hash, 1, {0: 0.5}, {})
    shelf.put(number, states(number, places), record)


class Spy(LayerReader):
    """A reader that notes what the model really ran, and can be interrupted."""

    def __init__(self, model: ModelProfile, stop_after: int = 10**9) -> None:
        super().__init__(model)
        self.ran: list[tuple[int, tuple[LayerPooling, ...]]] = []
        self._stop_after = stop_after

    def run(
        self, texts: PreparedTexts, places: Sequence[LayerPooling], on_batch: Callable[[int], None] = lambda done: None
    ) -> LayerStates:
        if len(self.ran) == self._stop_after:
            raise KeyboardInterrupt
        self.ran.append((texts.count, tuple(places)))
        return super().run(texts, places, on_batch)


def joined(chunks: Sequence[ChunkStates], place: LayerPooling) -> Embeddings:
    return np.concatenate([chunk.vectors[place] for chunk in chunks])


def same(
    left: Sequence[ChunkStates], right: Sequence[ChunkStates], places: Sequence[LayerPooling] = EVERYWHERE
) -> bool:
    return all(joined(left, place).tobytes() == joined(right, place).tobytes() for place in places)
