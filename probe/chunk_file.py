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

# Float16, or float32 where float16 cannot hold it.
Stored = NDArray[np.float16] | NDArray[np.float32]

# Greatest relative change of a vector by rounding; float16 keeps 11 bits.
_ROUNDING = 2**-10


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
    """Return vectors `(N, D)` as they are stored: float16, unless a value would overflow or lose its digits."""
    with np.errstate(over="ignore"):
        small = vectors.astype(np.float16)
    change = np.linalg.norm(small.astype(np.float32) - vectors, axis=1)
    fits = np.isfinite(small).all() and (change <= _ROUNDING * np.linalg.norm(vectors, axis=1)).all()
    return small if fits else vectors


def restore(stored: Stored) -> Embeddings:
    """Return stored vectors as float32."""
    return stored.astype(np.float32)


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

    named = {f"{layer}:{pooling}": tensor for (layer, pooling), tensor in tensors.items()}
    checksums = {name: _checksum(tensor) for name, tensor in named.items()}
    value = {"schema": SCHEMA, **vars(record), "checksums": checksums}
    data = save(named, {"record": seal(value)})
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
            tensor: Stored = self._file.get_tensor(name)
        except self._errors as error:
            raise DamagedChunk(f"{self._path} is damaged ({error})") from error
        if _checksum(tensor) != self.record.checksums.get(name):
            raise DamagedChunk(f"{self._path} is damaged (the checksum of {name} is wrong)")
        return tensor


def _parse_record(metadata: dict[str, str]) -> ChunkRecord:
    value = unseal(metadata["record"])
    if value.pop("schema") != SCHEMA:
        raise ValueError("it was written by another version")
    value["seconds"] = {int(layer): seconds for layer, seconds in value["seconds"].items()}
    return ChunkRecord(**value)


def _parse_place(name: str) -> Place:
    layer, _, pooling = name.partition(":")
    return int(layer), pooling


def _checksum(tensor: Stored) -> str:
    head = json.dumps([str(tensor.dtype), list(tensor.shape)])
    return hashlib.sha256(head.encode() + np.ascontiguousarray(tensor).tobytes()).hexdigest()
