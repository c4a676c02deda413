"""One file of the store: pooled states of one chunk of texts, every tensor with its checksum; and its name."""

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

# Number of the chunk, and an ending per set of layers and poolings.
_NAME = re.compile(r"(\d+)-(.+)\.safetensors")

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


class MissingChunk(DamagedChunk):
    """A file of the store is not there."""


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
    def layer_poolings(self) -> set[LayerPooling]:
        """Layers and poolings in the file."""
        return {parse_layer_pooling(name) for name in self.checksums}


def quantize(vectors: Embeddings) -> Stored:
    """Return vectors `(N, D)` as they are stored: in float16, unless a value would overflow or lose its digits."""
    centre = (vectors.sum(axis=0, dtype=np.float64) / max(1, len(vectors))).astype(np.float32)
    apart = vectors - centre
    with np.errstate(over="ignore", invalid="ignore"):
        small = Stored(apart.astype(np.float16), centre)
        change = np.linalg.norm(dequantize(small) - vectors, axis=1)
    # A text without a token is exactly zero, and has to stay so.
    if vectors.any(axis=1).all() and (change <= _ROUNDING * np.linalg.norm(apart, axis=1)).all():
        return small
    return keep_exact(vectors)


def keep_exact(vectors: Embeddings) -> Stored:
    """Return vectors `(N, D)` as they are stored where not a digit may be lost."""
    return Stored(vectors, np.zeros(vectors.shape[1], np.float32))


def dequantize(stored: Stored) -> Embeddings:
    """Return stored vectors as float32 `(N, D)`."""
    vectors: Embeddings = stored.values.astype(np.float32)
    return vectors + stored.centre


def write_chunk(path: Location, tensors: Mapping[LayerPooling, Stored], record: ChunkRecord) -> None:
    """Write a file of the store, whole or not at all."""
    put_bytes(path, pack_chunk(tensors, record))


def pack_chunk(tensors: Mapping[LayerPooling, Stored], record: ChunkRecord) -> bytes:
    """Return what a file of the store holds: stored states `(N, D)`, and their record with its checksums filled in."""
    from safetensors.numpy import save

    named = {f"{layer}:{pooling}": stored for (layer, pooling), stored in tensors.items()}
    value = {"schema": SCHEMA, **vars(record), "checksums": {name: _checksum(stored) for name, stored in named.items()}}
    arrays = {name: stored.values for name, stored in named.items()}
    arrays |= {f"{name}{_CENTRE}": stored.centre for name, stored in named.items()}
    return save(arrays, {"record": seal(value)})


def layer_poolings_in(path: Location) -> set[LayerPooling]:
    """Return the layers and poolings a file of the store says it holds; none where it cannot be read."""
    try:
        with ChunkFile(path) as file:
            return file.record.layer_poolings
    except (DamagedChunk, OSError):
        return set()


def ending_of(layer_poolings: Iterable[LayerPooling]) -> str:
    """Return what ends the names of files that hold these layers and poolings."""
    return digest({"places": sorted(f"{layer}:{pooling}" for layer, pooling in layer_poolings)})[:12]


def chunk_name(number: int, ending: str) -> str:
    """Return the name of the file of a chunk, numbered from 0, with the ending of what it holds."""
    return f"{number:06d}-{ending}.safetensors"


def chunk_numbers(names: Iterable[str]) -> dict[str, set[int]]:
    """Return the chunks that the files in a shelf's folder are named after, per ending."""
    numbers: dict[str, set[int]] = {}
    for name in names:
        if match := _NAME.fullmatch(name):
            numbers.setdefault(match[2], set()).add(int(match[1]))
    return numbers


def stored_layer_poolings(folder: Location, ending: str, numbers: Iterable[int]) -> set[LayerPooling]:
    """Return the layers and poolings in a shelf's files of one ending, by the first that can be read."""
    found = (layer_poolings_in(folder / chunk_name(number, ending)) for number in sorted(numbers))
    return next((layer_poolings for layer_poolings in found if layer_poolings), set())


class _LoadedFile:
    """A file of the store that is in memory, asked as safetensors asks one on the disk."""

    def __init__(self, data: bytes) -> None:
        from safetensors.numpy import load

        self._tensors = load(data)
        length = int.from_bytes(data[:8], "little")
        self._metadata: dict[str, str] = json.loads(data[8 : 8 + length])["__metadata__"]

    def metadata(self) -> dict[str, str]:
        """Return what was said beside the tensors."""
        return self._metadata

    def get_tensor(self, name: str) -> NDArray[Any]:
        """Return a tensor."""
        return self._tensors[name]


class ChunkFile:
    """An open file of the store.

    On the disk it is read through a memory map: a tensor that is not asked for is not touched. A remote one is read
    whole.

    Attributes:
        record: What the file says of itself, once it is open.
    """

    record: ChunkRecord

    def __init__(self, path: Location) -> None:
        """Name the file."""
        self._path = path
        self._stack = ExitStack()

    def __enter__(self) -> "ChunkFile":
        data = self._fetch() if isinstance(self._path, RemotePath) else None
        with self._naming_damage():
            self._file = self._map() if data is None else _LoadedFile(data)
            self.record = _parse_record(self._file.metadata())
        return self

    def _fetch(self) -> bytes:
        """Return a remote file; one that the network refuses may be as good as ever, so it is not called damaged."""
        try:
            return self._path.read_bytes()
        except FileNotFoundError as error:
            raise MissingChunk(f"{self._path} is not there") from error

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
            raise MissingChunk(f"{self._path} is not there") from error
        except (SafetensorError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            self._stack.close()
            raise DamagedChunk(f"{self._path} is damaged ({error})") from error

    def read(self, layer_pooling: LayerPooling) -> Stored:
        """Return the stored states `(N, D)` at a layer and pooling that the file holds.

        Raises:
            DamagedChunk: They are not what was written.
        """
        name = f"{layer_pooling[0]}:{layer_pooling[1]}"
        with self._naming_damage():
            stored = Stored(self._file.get_tensor(name), self._file.get_tensor(f"{name}{_CENTRE}"))
            if _checksum(stored) != self.record.checksums[name]:
                raise ValueError(f"the checksum of {name} is wrong")
        return stored


def _parse_record(metadata: dict[str, str]) -> ChunkRecord:
    value = unseal(metadata["record"])
    if value.pop("schema") != SCHEMA:
        raise ValueError("it was written by another version")
    value["seconds"] = {int(layer): seconds for layer, seconds in value["seconds"].items()}
    return ChunkRecord(**value)


def parse_layer_pooling(name: str) -> LayerPooling:
    """Return the layer and pooling that a tensor is named after."""
    layer, _, pooling = name.partition(":")
    return int(layer), pooling


def _checksum(stored: Stored) -> str:
    found = hashlib.sha256()
    for array in (stored.values, stored.centre):
        found.update(json.dumps([str(array.dtype), list(array.shape)]).encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()
