"""Estimate of the size of a store entry."""

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
    """A store entry with some hookpoints of all texts, written by one sweep.

    Attributes:
        hookpoints: Number of hookpoints.
        bytes: Size on disk; chunks that do not fit float16 take twice as much.
        bytes_per_hookpoint: Size of an entry with a single hookpoint.
        files: One per chunk of texts, plus the manifest.
        chunk_texts: Number of texts per chunk.
        overhead_per_file: Bytes of a file besides its rows: centres, checksums, names.
    """

    hookpoints: int
    bytes: int
    bytes_per_hookpoint: int
    files: int
    chunk_texts: int
    overhead_per_file: int


def forecast_store(layer_poolings: Sequence[LayerPooling], texts: int, width: int) -> StoreForecast:
    """Estimate an entry: a float16 row per text and hookpoint, plus the overhead of its files."""
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
    """Return the bytes of a file besides its rows, measured on a packed file with a single text."""
    row = Stored(np.zeros((1, width), np.float16), np.zeros(width, np.float32))
    record = ChunkRecord(_HASH, _HASH, CHUNK, {layer: 1 / 3 for layer, _ in layer_poolings}, {})
    return len(pack_chunk(dict.fromkeys(layer_poolings, row), record)) - len(layer_poolings) * width * _FLOAT16
