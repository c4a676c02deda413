"""How large a shelf of the store will be."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from probe.layers.hookpoint import LayerPooling
from probe.store.chunk_file import ChunkRecord, Stored, pack_chunk
from probe.store.keys import CHUNK

__all__ = ["StoreForecast", "forecast_store"]

_HASH = "0" * 64
_FLOAT16, _FLOAT32 = 2, 4


@dataclass(frozen=True)
class StoreForecast:
    """A shelf that holds some hookpoints of all texts, written by one sweep.

    Attributes:
        hookpoints: How many.
        bytes: Their size on disk; a chunk whose states float16 cannot hold takes twice its share.
        bytes_per_hookpoint: The size of a shelf that holds one alone.
        files: One per chunk of texts, and the manifest.
        chunk_texts: Texts of a chunk.
        overhead_per_file: Bytes of a file beside its rows: centres, checksums, names.
    """

    hookpoints: int
    bytes: int
    bytes_per_hookpoint: int
    files: int
    chunk_texts: int
    overhead_per_file: int


def forecast_store(layer_poolings: Sequence[LayerPooling], texts: int, width: int) -> StoreForecast:
    """Forecast a shelf: a float16 row per text and hookpoint, and what every file holds beside its rows."""
    chunks = -(-texts // CHUNK)
    rows = texts * width * _FLOAT16
    overhead = _overhead(layer_poolings, width)
    return StoreForecast(
        hookpoints=len(layer_poolings),
        bytes=len(layer_poolings) * rows + chunks * overhead,
        bytes_per_hookpoint=rows + chunks * _overhead(layer_poolings[-1:], width),
        files=chunks + 1,
        chunk_texts=CHUNK,
        overhead_per_file=overhead,
    )


def _overhead(layer_poolings: Sequence[LayerPooling], width: int) -> int:
    """Return the bytes of a file beside its rows, by packing one of a single text."""
    row = Stored(np.zeros((1, width), np.float16), np.zeros(width, np.float32))
    record = ChunkRecord(_HASH, _HASH, CHUNK, {layer: 1 / 3 for layer, _ in layer_poolings}, {})
    return len(pack_chunk(dict.fromkeys(layer_poolings, row), record)) - len(layer_poolings) * width * _FLOAT16
