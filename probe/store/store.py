"""The store: the resumable home of pooled states, on the disk or wherever fsspec reaches.

A store has one shelf per model, settings and set of texts. A shelf holds the states in files of one chunk
of texts each, which are written under another name and renamed, or put into an object store in one piece; a file
is thus whole or not there, and every file can be checked by itself.
"""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from probe.io.files import digest, read_sealed, write_sealed
from probe.io.locations import list_names, locate, touch
from probe.io.remote_path import Location, RemotePath
from probe.layers.hookpoint import LayerPooling
from probe.store.chunk_file import (
    SCHEMA,
    ChunkFile,
    ChunkRecord,
    DamagedChunk,
    MissingChunk,
    Stored,
    chunk_name,
    chunk_numbers,
    ending_of,
    stored_layer_poolings,
    write_chunk,
)

__all__ = ["MANIFEST", "Found", "Shelf", "Store"]

MANIFEST = "manifest.json"
_log = logging.getLogger(__name__)


class Store:
    """A folder of shelves; a disk error is reported once, and work goes on without the store."""

    def __init__(self, folder: str | Location) -> None:
        """Name the folder, or its URL; it is made when something is first written."""
        self.folder = locate(folder) if isinstance(folder, str) else folder
        self._writable = True

    def shelf(self, parts: Mapping[str, Any], about: Mapping[str, Any]) -> "Shelf":
        """Open a shelf, making it where it is new.

        Args:
            parts: All that decides the vectors, as plain values.
            about: Its description: model, data set, side, number of texts.
        """
        key = digest({"schema": SCHEMA, **parts})
        folder = self.folder / "shelves" / key[:32]
        manifest = {"schema": SCHEMA, "key": key, "parts": dict(parts), "about": dict(about)}
        if not _is_manifest(folder / MANIFEST, key):
            self.keep(lambda: _write_json(folder / MANIFEST, manifest))
        self.keep(lambda: touch(folder / MANIFEST), quiet=True)
        return Shelf(self, folder, key)

    def read_facts(self, parts: Mapping[str, Any]) -> Any | None:
        """Return the stored facts of a model, keyed by everything that determines them, or None."""
        path = self._facts(parts)
        try:
            return read_sealed(path) if path.exists() else None
        except (ValueError, OSError) as error:
            _log.warning("%s is damaged (%s): the model is loaded anew", path, error)
            return None

    def write_facts(self, parts: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
        """Keep what loading a model showed."""
        self.keep(lambda: _write_json(self._facts(parts), dict(facts)))

    def _facts(self, parts: Mapping[str, Any]) -> Location:
        return self.folder / "models" / f"{digest({'schema': SCHEMA, **parts})[:32]}.json"

    def keep(self, write: Callable[[], object], quiet: bool = False) -> None:
        """Write to the store unless the disk refuses, which is said once, or not at all where `quiet`."""
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
        tensors: Stored states `(N, D)` per layer and pooling.
        seconds: Time from the start of the forward to each layer.
        truncated: Texts longer than the model takes, where anything was found.
    """

    tensors: dict[LayerPooling, Stored]
    seconds: dict[int, float]
    truncated: int


class Shelf:
    """The states of one set of texts under one model and its settings.

    Its folder is listed once, not once per chunk.
    """

    def __init__(self, store: Store, folder: Location, key: str) -> None:
        """Use a folder of the store; `Store.shelf` makes these."""
        self._store = store
        self._listed: dict[str, set[int]] | None = None
        self._layer_poolings: dict[str, set[LayerPooling]] = {}
        self.folder = folder
        self.key = key

    def count(self, layer_poolings: Collection[LayerPooling]) -> dict[LayerPooling, int]:
        """List the folder anew; return in how many chunks each is stored, by what the files say of themselves."""
        self._listed, self._layer_poolings = None, {}
        numbers: dict[LayerPooling, set[int]] = {key: set() for key in layer_poolings}
        for ending, stored in self._list().items():
            for layer_pooling in self._layer_poolings_of(ending) & set(layer_poolings):
                numbers[layer_pooling] |= stored
        return {key: len(found) for key, found in numbers.items()}

    def find(self, number: int, text_hash: str, layer_poolings: Sequence[LayerPooling]) -> Found:
        """Return what is stored of a chunk; a damaged file is named, removed and counts as not there.

        Files that another process wrote since the folder was listed are found where they hold what is still missing.

        Args:
            number: The chunk's, from 0.
            text_hash: sha256 over its ids and texts.
            layer_poolings: Layers and poolings wanted.

        Returns:
            The states found, perhaps none.
        """
        found, listed = Found({}, {}, 0), self._list()
        known = [ending for ending in sorted(listed) if number in listed[ending]]
        for ending in known:
            held = self._layer_poolings_of(ending)
            if not held or held & _missing(layer_poolings, found):
                found = self._add(self.folder / chunk_name(number, ending), text_hash, layer_poolings, found=found)
        expected = ending_of(_missing(layer_poolings, found))
        if _missing(layer_poolings, found) and expected not in known:
            found = self._add(self.folder / chunk_name(number, expected), text_hash, layer_poolings, found=found)
        return found

    def _layer_poolings_of(self, ending: str) -> set[LayerPooling]:
        if ending not in self._layer_poolings:
            self._layer_poolings[ending] = stored_layer_poolings(self.folder, ending, self._list()[ending])
        return self._layer_poolings[ending]

    def _list(self) -> dict[str, set[int]]:
        if self._listed is None:
            try:
                self._listed = chunk_numbers(list_names(self.folder))
            except OSError as error:
                _log.warning("%s cannot be listed (%s): going on as if it were empty", self.folder, error)
                self._listed = {}
        return self._listed

    def _add(self, path: Location, text_hash: str, layer_poolings: Sequence[LayerPooling], *, found: Found) -> Found:
        """Return what was found with what a file holds beside it, where it is there and sound."""
        try:
            return self._read(path, text_hash, layer_poolings, found=found)
        except MissingChunk:
            pass
        except DamagedChunk as error:
            _log.warning("%s: it is redone", error)
            self._store.keep(path.unlink, quiet=True)
        except OSError as error:
            _log.warning("%s cannot be read (%s): the model encodes its texts again", path, error)
        return found

    def _read(self, path: Location, text_hash: str, layer_poolings: Sequence[LayerPooling], *, found: Found) -> Found:
        with ChunkFile(path) as file:
            record = file.record
            if (record.shelf, record.text_hash) != (self.key, text_hash):
                raise DamagedChunk(f"{path} holds the states of other texts")
            new = {key: file.read(key) for key in layer_poolings if key in record.layer_poolings - found.tensors.keys()}
        return Found({**found.tensors, **new}, {**record.seconds, **found.seconds}, record.truncated)

    def put(self, number: int, tensors: Mapping[LayerPooling, Stored], record: ChunkRecord) -> None:
        """Store states of a chunk, numbered from 0, and what their file says of itself."""
        ending = ending_of(tensors)
        path = self.folder / chunk_name(number, ending)

        def write() -> None:
            _make_folder(self.folder)
            write_chunk(path, tensors, record)
            if self._listed is not None:
                self._listed.setdefault(ending, set()).add(number)

        self._store.keep(write)


def _missing(layer_poolings: Collection[LayerPooling], found: Found) -> set[LayerPooling]:
    return set(layer_poolings) - found.tensors.keys()


def _is_manifest(path: Location, key: str) -> bool:
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


def _write_json(path: Location, value: Any) -> None:
    _make_folder(path.parent)
    write_sealed(path, value)


def _make_folder(folder: Location) -> None:
    """Make a folder where there are folders; a remote one comes with its first file."""
    if not isinstance(folder, RemotePath):
        folder.mkdir(parents=True, exist_ok=True)
