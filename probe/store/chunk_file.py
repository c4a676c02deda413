"""A file of the store: pooled states of one chunk of texts, with a checksum per tensor; and its file name."""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probe.io.files import digest, put_bytes, seal, unseal
from probe.io.remote_path import Location, RemotePath
from probe.layers.hookpoint import LayerPooling
from probe.metrics.vectors import Embeddings

__all__ = [
    "ChunkFile",
    "ChunkRecord",
    "DamagedChunk",
    "MissingChunk",
    "Stored",
    "chunk_name",
    "chunk_numbers",
    "dequantize",
    "ending_of",
    "keep_exact",
    "layer_poolings_in",
    "pack_chunk",
    "parse_layer_pooling",
    "quantize",
    "stored_layer_poolings",
    "write_chunk",
]

SCHEMA = 1

# File names: number of the chunk, and a suffix per set of layers and poolings.
_NAME = re.compile(r"(\d+)-(.+)\.safetensors")

# Suffix of tensor names that hold a centre.
_CENTRE = ":centre"

# Maximum change of a vector by rounding, relative to its distance from the centre; float16 has 11 bits.
_ROUNDING = 2**-10


@dataclass(frozen=True)
class Stored:
    """Vectors in stored form: their mean, and the differences from it.

    The states of an inner layer may all have nearly the same direction, and their differences decide the ranking:
    float16 is precise enough for the differences, not for the whole vectors.

    Attributes:
        values: Differences from the centre `(N, D)`: float16, or float32 if float16 is not precise enough.
        centre: Float32 `(D,)`; zeros with float32 values.
    """

    values: NDArray[np.float16] | NDArray[np.float32]
    centre: Embeddings


class DamagedChunk(Exception):
    """A file of the store is damaged."""


class MissingChunk(DamagedChunk):
    """A file of the store is missing."""


@dataclass(frozen=True)
class ChunkRecord:
    """Metadata of a file of the store.

    Attributes:
        shelf: Key of its entry.
        text_hash: sha256 of the ids and texts of the chunk.
        truncated: Number of texts longer than the maximum length.
        seconds: Time from the start of the forward to each layer, summed over batches.
        checksums: sha256 per tensor, named `layer:pooling`.
    """

    shelf: str
    text_hash: str
    truncated: int
    seconds: dict[int, float]
    checksums: dict[str, str]

    @property
    def layer_poolings(self) -> set[LayerPooling]:
        """Layers and poolings in the file."""
        return {parse_layer_pooling(name) for name in self.checksums}


def quantize(vectors: Embeddings) -> Stored:
    """Return vectors `(N, D)` in stored form: float16, unless values would overflow or lose precision."""
    centre = (vectors.sum(axis=0, dtype=np.float64) / max(1, len(vectors))).astype(np.float32)
    apart = vectors - centre
    with np.errstate(over="ignore", invalid="ignore"):
        small = Stored(apart.astype(np.float16), centre)
        change = np.linalg.norm(dequantize(small) - vectors, axis=1)
    # The vector of a text without tokens is exactly zero and must remain so.
    if vectors.any(axis=1).all() and (change <= _ROUNDING * np.linalg.norm(apart, axis=1)).all():
        return small
    return keep_exact(vectors)


def keep_exact(vectors: Embeddings) -> Stored:
    """Return vectors `(N, D)` in stored form without loss of precision."""
    return Stored(vectors, np.zeros(vectors.shape[1], np.float32))


def dequantize(stored: Stored) -> Embeddings:
    """Return stored vectors as float32 `(N, D)`."""
    vectors: Embeddings = stored.values.astype(np.float32)
    return vectors + stored.centre


def write_chunk(path: Location, tensors: Mapping[LayerPooling, Stored], record: ChunkRecord) -> None:
    """Write a file of the store atomically."""
    put_bytes(path, pack_chunk(tensors, record))


def pack_chunk(tensors: Mapping[LayerPooling, Stored], record: ChunkRecord) -> bytes:
    """Return the content of a file: stored states `(N, D)`, and their record with checksums."""
    from safetensors.numpy import save

    named = {f"{layer}:{pooling}": stored for (layer, pooling), stored in tensors.items()}
    value = {"schema": SCHEMA, **vars(record), "checksums": {name: _checksum(stored) for name, stored in named.items()}}
    arrays = {name: stored.values for name, stored in named.items()}
    arrays |= {f"{name}{_CENTRE}": stored.centre for name, stored in named.items()}
    return save(arrays, {"record": seal(value)})


def layer_poolings_in(path: Location) -> set[LayerPooling]:
    """Return the layers and poolings in a file by its metadata; empty if the file is unreadable."""
    try:
        with ChunkFile(path) as file:
            return file.record.layer_poolings
    except (DamagedChunk, OSError):
        return set()


def ending_of(layer_poolings: Iterable[LayerPooling]) -> str:
    """Return the suffix of names of files with these layers and poolings."""
    return digest({"places": sorted(f"{layer}:{pooling}" for layer, pooling in layer_poolings)})[:12]


def chunk_name(number: int, ending: str) -> str:
    """Return the file name of a chunk, numbered from 0, with the suffix of its contents."""
    return f"{number:06d}-{ending}.safetensors"


def chunk_numbers(names: Iterable[str]) -> dict[str, set[int]]:
    """Return the chunk numbers by suffix, parsed from the file names in an entry's folder."""
    numbers: dict[str, set[int]] = {}
    for name in names:
        if match := _NAME.fullmatch(name):
            numbers.setdefault(match[2], set()).add(int(match[1]))
    return numbers


def stored_layer_poolings(folder: Location, ending: str, numbers: Iterable[int]) -> set[LayerPooling]:
    """Return the layers and poolings in an entry's files with one suffix, from the first readable file."""
    found = (layer_poolings_in(folder / chunk_name(number, ending)) for number in sorted(numbers))
    return next((layer_poolings for layer_poolings in found if layer_poolings), set())


class _LoadedFile:
    """A file of the store in memory, with the interface of safetensors' open file."""

    def __init__(self, data: bytes) -> None:
        from safetensors.numpy import load

        self._tensors = load(data)
        length = int.from_bytes(data[:8], "little")
        self._metadata: dict[str, str] = json.loads(data[8 : 8 + length])["__metadata__"]

    def metadata(self) -> dict[str, str]:
        """Return the metadata."""
        return self._metadata

    def get_tensor(self, name: str) -> NDArray[Any]:
        """Return a tensor."""
        return self._tensors[name]


class ChunkFile:
    """An open file of the store.

    Local files are memory-mapped, so only requested tensors are read. Remote files are read whole.


    Attributes:
        record: The file's metadata, available once open.
    """

    record: ChunkRecord

    def __init__(self, path: Location) -> None:
        """Create a closed file at a path."""
        self._path = path
        self._stack = ExitStack()

    def __enter__(self) -> "ChunkFile":
        data = self._fetch() if isinstance(self._path, RemotePath) else None
        with self._naming_damage():
            self._file = self._map() if data is None else _LoadedFile(data)
            self.record = _parse_record(self._file.metadata())
        return self

    def _fetch(self) -> bytes:
        """Return a remote file; network errors do not mean that the file is damaged."""
        try:
            return self._path.read_bytes()
        except FileNotFoundError as error:
            raise MissingChunk(f"{self._path} is missing") from error

    def _map(self) -> Any:
        from safetensors import safe_open

        opened: Any = safe_open(self._path, framework="numpy")
        return self._stack.enter_context(opened)

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self._stack.close()

    @contextmanager
    def _naming_damage(self) -> Iterator[None]:
        from safetensors import SafetensorError

        try:
            yield
        except FileNotFoundError as error:
            raise MissingChunk(f"{self._path} is missing") from error
        except (SafetensorError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            self._stack.close()
            raise DamagedChunk(f"{self._path} is damaged ({error})") from error

    def read(self, layer_pooling: LayerPooling) -> Stored:
        """Return the stored states `(N, D)` at a layer and pooling in the file.

        Raises:
            DamagedChunk: If the checksum does not match.
        """
        name = f"{layer_pooling[0]}:{layer_pooling[1]}"
        with self._naming_damage():
            stored = Stored(self._file.get_tensor(name), self._file.get_tensor(f"{name}{_CENTRE}"))
            if _checksum(stored) != self.record.checksums[name]:
                raise ValueError(f"checksum mismatch of {name}")
        return stored


def _parse_record(metadata: dict[str, str]) -> ChunkRecord:
    value = unseal(metadata["record"])
    if value.pop("schema") != SCHEMA:
        raise ValueError("written by another version")
    value["seconds"] = {int(layer): seconds for layer, seconds in value["seconds"].items()}
    return ChunkRecord(**value)


def parse_layer_pooling(name: str) -> LayerPooling:
    """Return the layer and pooling encoded in a tensor's name."""
    layer, _, pooling = name.partition(":")
    return int(layer), pooling


def _checksum(stored: Stored) -> str:
    found = hashlib.sha256()
    for array in (stored.values, stored.centre):
        found.update(json.dumps([str(array.dtype), list(array.shape)]).encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()
