"""The store: the resumable home of pooled states on disk.

A store has one shelf per model, settings and set of texts. A shelf holds the states in files of one chunk
of texts each, which are written under another name and renamed; a file is thus whole or not there, and
every file can be checked by itself.
"""

import logging
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from probe.chunk_file import SCHEMA, ChunkFile, ChunkRecord, DamagedChunk, Stored, places_in, write_chunk
from probe.files import digest, read_sealed, write_sealed
from probe.hookpoint import Place

__all__ = ["MANIFEST", "Found", "Shelf", "Store"]

MANIFEST = "manifest.json"
_log = logging.getLogger(__name__)


class Store:
    """A folder of shelves; a fault of the disk is said once, and work goes on without the store."""

    def __init__(self, folder: Path) -> None:
        """Name the folder; it is made when something is first kept."""
        self.folder = folder
        self._writable = True

    def shelf(self, parts: Mapping[str, Any], about: Mapping[str, Any]) -> "Shelf":
        """Open a shelf, making it where it is new.

        Args:
            parts: All that decides the vectors, as plain values.
            about: What people want to know of it: model, data set, side, number of texts.

        Returns:
            The shelf.
        """
        key = digest({"schema": SCHEMA, **parts})
        folder = self.folder / "shelves" / key[:32]
        manifest = {"schema": SCHEMA, "key": key, "parts": dict(parts), "about": dict(about)}
        if not _is_manifest(folder / MANIFEST, key):
            self.keep(lambda: _write_json(folder / MANIFEST, manifest))
        self.keep(lambda: os.utime(folder / MANIFEST), quiet=True)
        return Shelf(self, folder, key)

    def read_facts(self, parts: Mapping[str, Any]) -> Any | None:
        """Return what was kept of a model, or None.

        Args:
            parts: All that decides it.
        """
        path = self._facts(parts)
        try:
            return read_sealed(path) if path.exists() else None
        except (ValueError, OSError) as error:
            _log.warning("%s is damaged (%s): the model is loaded anew", path, error)
            return None

    def write_facts(self, parts: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
        """Keep what loading a model showed."""
        self.keep(lambda: _write_json(self._facts(parts), dict(facts)))

    def _facts(self, parts: Mapping[str, Any]) -> Path:
        return self.folder / "models" / f"{digest({'schema': SCHEMA, **parts})[:32]}.json"

    def keep(self, write: Callable[[], object], quiet: bool = False) -> None:
        """Write to the store unless the disk refuses, which is said once.

        Args:
            write: Does it.
            quiet: Say nothing where it fails.
        """
        if not self._writable:
            return
        try:
            write()
        except OSError as error:
            if quiet:
                return
            self._writable = False
            _log.warning("the store %s cannot be written (%s): going on without keeping anything", self.folder, error)


@dataclass(frozen=True)
class Found:
    """What is stored of a chunk.

    Attributes:
        tensors: Stored states `(N, D)` per place.
        seconds: Time from the start of the forward to each layer.
        truncated: Texts longer than the model takes, where any place was found.
    """

    tensors: dict[Place, Stored]
    seconds: dict[int, float]
    truncated: int


class Shelf:
    """The states of one set of texts under one model and its settings."""

    def __init__(self, store: Store, folder: Path, key: str) -> None:
        """Use a folder of the store; `Store.shelf` makes these."""
        self._store = store
        self.folder = folder
        self.key = key

    def count(self, places: Collection[Place]) -> dict[Place, int]:
        """Return in how many chunks each place is stored, by what the files say of themselves."""
        numbers: dict[Place, set[str]] = {place: set() for place in places}
        for path in sorted(self.folder.glob("*.safetensors")):
            for place in places_in(path) & set(places):
                numbers[place].add(path.name.partition("-")[0])
        return {place: len(found) for place, found in numbers.items()}

    def find(self, number: int, text_hash: str, places: Sequence[Place]) -> Found:
        """Return what is stored of a chunk; a damaged file is named, removed and counts as not there.

        Args:
            number: The chunk's, from 0.
            text_hash: sha256 over its ids and texts.
            places: Layers and poolings wanted.

        Returns:
            The states found, perhaps none.
        """
        found = Found({}, {}, 0)
        for path in sorted(self.folder.glob(f"{number:06d}-*.safetensors")):
            try:
                found = self._read(path, text_hash, places, found)
            except DamagedChunk as error:
                _log.warning("%s: it is redone", error)
                self._store.keep(path.unlink, quiet=True)
        return found

    def _read(self, path: Path, text_hash: str, places: Sequence[Place], found: Found) -> Found:
        with ChunkFile(path) as file:
            record = file.record
            if (record.shelf, record.text_hash) != (self.key, text_hash):
                raise DamagedChunk(f"{path} holds the states of other texts")
            new = {place: file.read(place) for place in places if place in record.places - found.tensors.keys()}
        return Found({**found.tensors, **new}, {**record.seconds, **found.seconds}, record.truncated)

    def put(self, number: int, tensors: Mapping[Place, Stored], record: ChunkRecord) -> None:
        """Store states of a chunk.

        Args:
            number: The chunk's, from 0.
            tensors: Stored states per place.
            record: What the file says of itself.
        """
        names = digest({"places": sorted(f"{layer}:{pooling}" for layer, pooling in tensors)})[:12]
        path = self.folder / f"{number:06d}-{names}.safetensors"

        def write() -> None:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_chunk(path, tensors, record)

        self._store.keep(write)


def _is_manifest(path: Path, key: str) -> bool:
    """Whether a shelf's manifest is there and right; a wrong one is named (the shelf's files speak for themselves)."""
    if not path.exists():
        return False
    try:
        manifest = read_sealed(path)
        found = (manifest["schema"], manifest["key"])
    except (ValueError, KeyError, TypeError, OSError) as error:
        _log.warning("%s is damaged (%s): it is written anew", path, error)
        return False
    if found != (SCHEMA, key):
        _log.warning("%s is of another version (schema %s, expected %s): it is written anew", path, found[0], SCHEMA)
    return found == (SCHEMA, key)


def _write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_sealed(path, value)
