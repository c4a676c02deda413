"""One file of the store: pooled states of one chunk of texts, every tensor with its checksum."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probe.encoder import Embeddings
from probe.files import replace_file, seal, unseal
from probe.hookpoint import Place

__all__ = ["ChunkRecord", "DamagedChunk", "Stored", "read_record", "read_tensors", "restore", "shrink", "write_chunk"]

SCHEMA = 1

# Ends the name of the tensor that holds a centre.
_CENTRE = ":centre"

# Greatest change of a vector by rounding, relative to its distance from the centre; float16 keeps 11 bits.
_ROUNDING = 2**-10


@dataclass(frozen=True)
class Stored:
    """Vectors as they are stored: their mean, and how each differs from it.

    The states of an inner layer may all point nearly the same way, and only what tells them apart ranks them: float16
    has digits enough for the difference, not for the whole.

    Attributes:
        values: Differences from the centre `(N, D)`: float16, or float32 where that cannot hold them.
        centre: Float32 `(D,)`; zeros beside float32 values.
    """

    values: NDArray[np.float16] | NDArray[np.float32]
    centre: Embeddings


class DamagedChunk(Exception):
    """A file of the store is not what was written."""


@dataclass(frozen=True)
class ChunkRecord:
    """What a file of the store says of itself.

    Attributes:
        shelf: Key of the shelf it belongs to.
        text_hash: sha256 over the ids and texts whose states it holds.
        truncated: Texts longer than the model takes.
        seconds: Time from the start of the forward to each layer, summed over the batches.
        checksums: sha256 per tensor, named `layer:pooling`.
    """

    shelf: str
    text_hash: str
    truncated: int
    seconds: dict[int, float]
    checksums: dict[str, str]

    @property
    def places(self) -> set[Place]:
        """Layers and poolings in the file."""
        return {_parse_place(name) for name in self.checksums}


def shrink(vectors: Embeddings) -> Stored:
    """Return vectors `(N, D)` as they are stored: in float16, unless a value would overflow or lose its digits."""
    centre = (vectors.sum(axis=0, dtype=np.float64) / max(1, len(vectors))).astype(np.float32)
    apart = vectors - centre
    with np.errstate(over="ignore", invalid="ignore"):
        small = Stored(apart.astype(np.float16), centre)
        change = np.linalg.norm(restore(small) - vectors, axis=1)
    # A text without a token is exactly zero, and has to stay so.
    if vectors.any(axis=1).all() and (change <= _ROUNDING * np.linalg.norm(apart, axis=1)).all():
        return small
    return Stored(vectors, np.zeros_like(centre))


def restore(stored: Stored) -> Embeddings:
    """Return stored vectors as float32 `(N, D)`."""
    vectors: Embeddings = stored.values.astype(np.float32)
    return vectors + stored.centre


def write_chunk(path: Path, tensors: Mapping[Place, Stored], record: ChunkRecord) -> None:
    """Write a file of the store, whole or not at all.

    Args:
        path: Where it goes.
        tensors: Stored states `(N, D)` per place.
        record: What it says of itself; its checksums are filled in here.

    Raises:
        OSError: It cannot be written.
    """
    from safetensors.numpy import save

    named = {f"{layer}:{pooling}": stored for (layer, pooling), stored in tensors.items()}
    value = {"schema": SCHEMA, **vars(record), "checksums": {name: _checksum(stored) for name, stored in named.items()}}
    arrays = {name: stored.values for name, stored in named.items()}
    arrays |= {f"{name}{_CENTRE}": stored.centre for name, stored in named.items()}
    data = save(arrays, {"record": seal(value)})
    replace_file(path, lambda scratch: scratch.write_bytes(data))


def read_record(path: Path) -> ChunkRecord:
    """Read what a file of the store says of itself, and nothing else of it.

    Raises:
        DamagedChunk: It is damaged, or of another version.
    """
    with _Opened(path) as file:
        return file.record


def read_tensors(path: Path, places: Iterable[Place]) -> dict[Place, Stored]:
    """Read some tensors of a file of the store through a memory map; the others are not touched.

    Args:
        path: The file.
        places: Layers and poolings, all of them in it.

    Returns:
        Stored states `(N, D)` per place.

    Raises:
        DamagedChunk: A checksum is wrong, or the file cannot be read.
    """
    with _Opened(path) as file:
        return {place: file.read(place) for place in places}


class _Opened:
    """An open file of the store; whatever goes wrong inside is a `DamagedChunk`."""

    def __init__(self, path: Path) -> None:
        """Name the file."""
        self._path = path

    def __enter__(self) -> "_Opened":
        from safetensors import SafetensorError, safe_open

        self._errors = (SafetensorError, OSError, ValueError, KeyError, TypeError, AttributeError)
        try:
            opened: Any = safe_open(self._path, framework="numpy")
            self._file = opened.__enter__()
            self.record = _parse_record(self._file.metadata())
        except self._errors as error:
            raise DamagedChunk(f"{self._path} is damaged ({error})") from error
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self._file.__exit__(kind, error, trace)

    def read(self, place: Place) -> Stored:
        """Return one tensor, checked."""
        name = f"{place[0]}:{place[1]}"
        try:
            stored = Stored(self._file.get_tensor(name), self._file.get_tensor(f"{name}{_CENTRE}"))
        except self._errors as error:
            raise DamagedChunk(f"{self._path} is damaged ({error})") from error
        if _checksum(stored) != self.record.checksums.get(name):
            raise DamagedChunk(f"{self._path} is damaged (the checksum of {name} is wrong)")
        return stored


def _parse_record(metadata: dict[str, str]) -> ChunkRecord:
    value = unseal(metadata["record"])
    if value.pop("schema") != SCHEMA:
        raise ValueError("it was written by another version")
    value["seconds"] = {int(layer): seconds for layer, seconds in value["seconds"].items()}
    return ChunkRecord(**value)


def _parse_place(name: str) -> Place:
    layer, _, pooling = name.partition(":")
    return int(layer), pooling


def _checksum(stored: Stored) -> str:
    digest = hashlib.sha256()
    for array in (stored.values, stored.centre):
        digest.update(json.dumps([str(array.dtype), list(array.shape)]).encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
