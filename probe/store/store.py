"""The store: a resumable cache of pooled states, local or at any location that fsspec supports.

A store has one entry (a `Shelf`) per model, settings and set of texts. An entry's files hold the states of one chunk of
texts each. They are written atomically (renamed, or put into an object store in one piece), and every file can be
verified by itself.
"""

import copy
import logging
import tempfile
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
    """A folder of entries; a disk error is reported once, and work continues without the store."""

    def __init__(self, folder: str | Location, *, temporary: bool = False) -> None:
        """Create a store at a folder or URL; the folder is created on first write.

        Args:
            folder: The folder or URL.
            temporary: Whether it is removed with the run: only states that the run reads again are worth a write.
        """
        if not isinstance(folder, str | Path | RemotePath):
            raise wrong_type("store", folder, "the path or the URL of a folder")
        self.folder = locate(folder) if isinstance(folder, str) else folder
        self.temporary = temporary
        self._writable = True

    @classmethod
    def in_scratch(cls) -> "Store | None":
        """Return a temporary store among the process's temporary files, or None if it can have none."""
        try:
            return cls(Path(tempfile.gettempdir(), "states"), temporary=True)
        except OSError:
            return None

    def __repr__(self) -> str:
        return f"Store({str(self.folder)!r})"

    def for_last_pass(self) -> "Store":
        """Return the store for states that nothing reads afterwards: a temporary one is read, but not written."""
        if not self.temporary:
            return self
        other = copy.copy(self)
        other._writable = False
        return other

    def shelf(
        self, parts: Mapping[str, Any], about: Mapping[str, Any], contents: Mapping[LayerPooling, str] | None = None
    ) -> "Shelf":
        """Open an entry, creating it if new.

        Args:
            parts: Everything that determines the vectors, as plain values.
            about: Description: model, data set, side, number of texts.
            contents: Content ids of layers and poolings: equal ids in any entries mean equal vectors of equal texts.
                States missing from this entry are then read from others.
        """
        key = digest({"schema": SCHEMA, **parts})
        folder = self.folder / "shelves" / key[:32]
        wanted = dict(contents or {})
        manifest = {"schema": SCHEMA, "key": key, "parts": dict(parts), "about": dict(about)}
        known = _read_manifest(folder / MANIFEST, key)
        named = {**(known or {}).get("contents", {}), **named_contents(wanted)}
        if known is None or named != known.get("contents", {}):
            # An entry keeps its first description, even if opened later under another name.
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
            _log.warning("%s is damaged (%s): loading the model again", path, error)
            return None

    def write_facts(self, parts: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
        """Store the facts found by loading a model."""
        self.keep(lambda: _write_json(self._facts(parts), dict(facts)))

    def _facts(self, parts: Mapping[str, Any]) -> Location:
        return self.folder / "models" / f"{digest({'schema': SCHEMA, **parts})[:32]}.json"

    def keep(self, write: Callable[[], object], quiet: bool = False) -> None:
        """Run a write; a disk error is logged once, or never if `quiet`."""
        if not self._writable:
            return
        try:
            write()
        except OSError as error:
            if quiet:
                return
            self._writable = False
            _log.warning("cannot write to the store %s (%s): continuing without storing vectors", self.folder, error)


class Shelf:
    """A store entry: the states of one set of texts under one model and its settings."""

    def __init__(
        self, store: Store, folder: Location, key: str, *, find_twins: Callable[[], list[Twin]] = list
    ) -> None:
        """Create an entry at a folder of the store; use `Store.shelf` instead."""
        self._store = store
        self.temporary = store.temporary
        self._listing = ShelfListing(folder)
        self._find_twins = find_twins
        self._twins: list[Twin] | None = None
        self.folder = folder
        self.key = key

    def count(self, layer_poolings: Collection[LayerPooling], total: int | None = None) -> dict[LayerPooling, int]:
        """List the folder again; return the number of chunks stored for each layer and pooling, by file metadata.

        Args:
            layer_poolings: Requested layers and poolings.
            total: Total number of chunks, if known: other entries are read only if some are missing.
        """
        self._listing.forget()
        numbers = self._listing.numbers(layer_poolings)
        if any(total is None or len(found) < total for found in numbers.values()):
            for twin in self._list_twins():
                for layer_pooling, found in twin.numbers(layer_poolings).items():
                    numbers[layer_pooling] |= found
        return {key: len(found) for key, found in numbers.items()}

    def find(self, number: int, text_hash: str, layer_poolings: Sequence[LayerPooling]) -> Found:
        """Return the stored states of a chunk; a damaged file is logged, deleted and treated as missing.

        Files written by other processes since the folder was listed are used if they have missing states. Those missing
        from this entry are read from other entries that have the same.

        Args:
            number: Number of the chunk, from 0.
            text_hash: sha256 of its ids and texts.
            layer_poolings: Requested layers and poolings.

        Returns:
            The states found, possibly none.
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
        """Return the entries with the same states; their manifests are read once, and they count as used."""
        if self._twins is None:
            self._twins = self._find_twins()
            for twin in self._twins:
                self._store.keep(partial(touch, twin.folder / MANIFEST), quiet=True)
        return self._twins

    def _add(self, path: Location, text_hash: str, layer_poolings: Sequence[LayerPooling], *, found: Found) -> Found:
        """Return found states plus those of another file, if it exists and is intact."""
        try:
            return self._read(path, text_hash, layer_poolings, found=found)
        except MissingChunk:
            pass
        except DamagedChunk as error:
            _log.warning("%s: encoding its texts again", error)
            self._store.keep(path.unlink, quiet=True)
        except OSError as error:
            _log.warning("cannot read %s (%s): encoding its texts again", path, error)
        return found

    def _read(self, path: Location, text_hash: str, layer_poolings: Sequence[LayerPooling], *, found: Found) -> Found:
        with ChunkFile(path) as file:
            record = file.record
            if (record.shelf, record.text_hash) != (self.key, text_hash):
                raise DamagedChunk(f"{path} holds the states of other texts")
            new = {key: file.read(key) for key in layer_poolings if key in record.layer_poolings - found.tensors.keys()}
        return Found({**found.tensors, **new}, {**record.seconds, **found.seconds}, record.truncated)

    def put(self, number: int, tensors: Mapping[LayerPooling, Stored], record: ChunkRecord) -> None:
        """Store the states of a chunk, numbered from 0, with their metadata."""
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
    """Return an entry's manifest if it is valid; an invalid one is logged (the files have their own metadata)."""
    if not path.exists():
        return None
    try:
        manifest = read_sealed(path)
        found = (manifest["schema"], manifest["key"])
        if found == (SCHEMA, key):
            return dict(manifest)
    except (ValueError, KeyError, TypeError, OSError) as error:
        _log.warning("%s is damaged (%s): writing it again", path, error)
        return None
    _log.warning("%s has another version (schema %s, expected %s): writing it again", path, found[0], SCHEMA)
    return None


def _write_json(path: Location, value: Any) -> None:
    _make_folder(path.parent)
    write_sealed(path, value)


def _make_folder(folder: Location) -> None:
    """Create a local folder; remote folders are created with their first file."""
    if not isinstance(folder, RemotePath):
        folder.mkdir(parents=True, exist_ok=True)
