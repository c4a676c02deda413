"""The store: the resumable home of pooled states, on the disk or wherever fsspec reaches.

A store has one shelf per model, settings and set of texts. A shelf holds the states in files of one chunk
of texts each, which are written under another name and renamed, or put into an object store in one piece; a file
is thus whole or not there, and every file can be checked by itself.
"""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from probe.errors import wrong_type
from probe.io.files import digest, read_sealed, write_sealed
from probe.io.locations import locate, touch
from probe.io.remote_path import Location, RemotePath
from probe.io.staging import sweep
from probe.layers.hookpoint import LayerPooling
from probe.store.chunk_file import (
    SCHEMA,
    ChunkFile,
    ChunkRecord,
    DamagedChunk,
    MissingChunk,
    Stored,
    chunk_name,
    ending_of,
    write_chunk,
)
from probe.store.listing import MANIFEST, Found, ShelfListing, Twin, find_twins, named_contents

__all__ = ["MANIFEST", "Found", "Shelf", "Store"]

_log = logging.getLogger(__name__)


class Store:
    """A folder of shelves; a disk error is reported once, and work goes on without the store."""

    def __init__(self, folder: str | Location) -> None:
        """Name the folder, or its URL; it is made when something is first written."""
        if not isinstance(folder, str | Path | RemotePath):
            raise wrong_type("store", folder, "the path or the URL of a folder")
        self.folder = locate(folder) if isinstance(folder, str) else folder
        self._writable = True

    def __repr__(self) -> str:
        return f"Store({str(self.folder)!r})"

    def shelf(
        self, parts: Mapping[str, Any], about: Mapping[str, Any], contents: Mapping[LayerPooling, str] | None = None
    ) -> "Shelf":
        """Open a shelf, making it where it is new.

        Args:
            parts: All that decides the vectors, as plain values.
            about: Its description: model, data set, side, number of texts.
            contents: Content ids of layers and poolings: two that are equal, in whatever shelves, say that the vectors
                of equal texts are equal. What this shelf lacks is then read from others.
        """
        key = digest({"schema": SCHEMA, **parts})
        folder = self.folder / "shelves" / key[:32]
        wanted = dict(contents or {})
        manifest = {"schema": SCHEMA, "key": key, "parts": dict(parts), "about": dict(about)}
        known = _read_manifest(folder / MANIFEST, key)
        named = {**(known or {}).get("contents", {}), **named_contents(wanted)}
        if known is None or named != known.get("contents", {}):
            # A shelf keeps its description: other commands may have opened it under another name.
            kept = {**(known or manifest), **({"contents": named} if named else {})}
            self.keep(lambda: _write_json(folder / MANIFEST, kept))
        self.keep(lambda: touch(folder / MANIFEST), quiet=True)
        shelves = self.folder / "shelves"
        return Shelf(self, folder, key, find_twins=lambda: find_twins(shelves, key, parts, contents=wanted))

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


class Shelf:
    """The states of one set of texts under one model and its settings."""

    def __init__(
        self, store: Store, folder: Location, key: str, *, find_twins: Callable[[], list[Twin]] = list
    ) -> None:
        """Use a folder of the store; `Store.shelf` makes these."""
        self._store = store
        self._listing = ShelfListing(folder)
        self._find_twins = find_twins
        self._twins: list[Twin] | None = None
        self.folder = folder
        self.key = key

    def count(self, layer_poolings: Collection[LayerPooling], total: int | None = None) -> dict[LayerPooling, int]:
        """List the folder anew; return in how many chunks each is stored, by what the files say of themselves.

        Args:
            layer_poolings: Layers and poolings wanted.
            total: Chunks in all, where known: other shelves are not looked at where none is missing.
        """
        self._listing.forget()
        numbers = self._listing.numbers(layer_poolings)
        if any(total is None or len(found) < total for found in numbers.values()):
            for twin in self._list_twins():
                for layer_pooling, found in twin.numbers(layer_poolings).items():
                    numbers[layer_pooling] |= found
        return {key: len(found) for key, found in numbers.items()}

    def find(self, number: int, text_hash: str, layer_poolings: Sequence[LayerPooling]) -> Found:
        """Return what is stored of a chunk; a damaged file is named, removed and counts as not there.

        Files that another process wrote since the folder was listed are found where they hold what is still missing.
        What is not in this shelf is looked for in others that hold the same.

        Args:
            number: The chunk's, from 0.
            text_hash: sha256 over its ids and texts.
            layer_poolings: Layers and poolings wanted.

        Returns:
            The states found, perhaps none.
        """
        found, known = Found({}, {}, 0), self._listing.endings(number)
        for ending in known:
            held = self._listing.layer_poolings(ending)
            if not held or held & _missing(layer_poolings, found):
                found = self._add(self.folder / chunk_name(number, ending), text_hash, layer_poolings, found=found)
        expected = ending_of(_missing(layer_poolings, found))
        if _missing(layer_poolings, found) and expected not in known:
            found = self._add(self.folder / chunk_name(number, expected), text_hash, layer_poolings, found=found)
        for twin in self._list_twins() if _missing(layer_poolings, found) else ():
            found = found.joined(twin.read(number, text_hash, _missing(layer_poolings, found)))
        return found

    def _list_twins(self) -> list[Twin]:
        """Return the shelves that hold the same; their manifests are read once, and they count as used."""
        if self._twins is None:
            self._twins = self._find_twins()
            for twin in self._twins:
                self._store.keep(partial(touch, twin.folder / MANIFEST), quiet=True)
        return self._twins

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
            if not isinstance(self.folder, RemotePath):
                sweep(self.folder, self._listing.take_leftovers())
            write_chunk(path, tensors, record)
            self._listing.add(number, ending)

        self._store.keep(write)


def _missing(layer_poolings: Collection[LayerPooling], found: Found) -> set[LayerPooling]:
    return set(layer_poolings) - found.tensors.keys()


def _read_manifest(path: Location, key: str) -> dict[str, Any] | None:
    """Return a shelf's manifest where it is there and right; a wrong one is named (its files speak for themselves)."""
    if not path.exists():
        return None
    try:
        manifest = read_sealed(path)
        found = (manifest["schema"], manifest["key"])
        if found == (SCHEMA, key):
            return dict(manifest)
    except (ValueError, KeyError, TypeError, OSError) as error:
        _log.warning("%s is damaged (%s): it is written anew", path, error)
        return None
    _log.warning("%s is of another version (schema %s, expected %s): it is written anew", path, found[0], SCHEMA)
    return None


def _write_json(path: Location, value: Any) -> None:
    _make_folder(path.parent)
    write_sealed(path, value)


def _make_folder(folder: Location) -> None:
    """Make a folder where there are folders; a remote one comes with its first file."""
    if not isinstance(folder, RemotePath):
        folder.mkdir(parents=True, exist_ok=True)
