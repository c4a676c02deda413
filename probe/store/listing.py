"""Contents of entry folders by layer and pooling; and other entries with the same states of the same texts."""

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from probe.io.files import read_sealed
from probe.io.locations import list_folders, list_names
from probe.io.remote_path import Location
from probe.io.staging import is_staging
from probe.layers.hookpoint import LayerPooling
from probe.store.chunk_file import (
    ChunkFile,
    DamagedChunk,
    MissingChunk,
    Stored,
    chunk_name,
    chunk_numbers,
    parse_layer_pooling,
    stored_layer_poolings,
)

__all__ = ["MANIFEST", "Found", "ShelfListing", "Twin", "find_twins", "named_contents", "read_manifest"]

MANIFEST = "manifest.json"
# If one of these differs, equal content ids do not apply: other texts, or vectors rounded differently.
_SAME = ("text_sha256", "rounding")

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Found:
    """Stored states of a chunk.

    Attributes:
        tensors: Stored states `(N, D)` by layer and pooling.
        seconds: Time from the start of the forward to each layer.
        truncated: Number of texts longer than the maximum length, if anything was found.
    """

    tensors: dict[LayerPooling, Stored]
    seconds: dict[int, float]
    truncated: int

    def joined(self, other: "Found") -> "Found":
        """Return the union; where both have the same states, this one's are used."""
        if not other.tensors:
            return self
        return Found({**other.tensors, **self.tensors}, {**other.seconds, **self.seconds}, other.truncated)


class ShelfListing:
    """The chunks stored in an entry's folder; the folder is listed once, not once per chunk."""

    def __init__(self, folder: Location) -> None:
        """Create the listing; the folder is listed on first use."""
        self._folder = folder
        self._numbers: dict[str, set[int]] | None = None
        self._layer_poolings: dict[str, set[LayerPooling]] = {}
        self._leftovers: list[str] = []

    def take_leftovers(self) -> list[str]:
        """Return, once, the names of staging folders seen when the folder was listed."""
        found, self._leftovers = self._leftovers, []
        return found

    def forget(self) -> None:
        """Discard the listing, so that the folder is listed again."""
        self._numbers, self._layer_poolings = None, {}

    def add(self, number: int, ending: str) -> None:
        """Add a newly written file."""
        if self._numbers is not None:
            self._numbers.setdefault(ending, set()).add(number)

    def endings(self, number: int) -> list[str]:
        """Return the suffixes of the files of a chunk."""
        listed = self._list()
        return [ending for ending in sorted(listed) if number in listed[ending]]

    def layer_poolings(self, ending: str) -> set[LayerPooling]:
        """Return the layers and poolings of files with a suffix, from the metadata of the first of them."""
        if ending not in self._layer_poolings:
            self._layer_poolings[ending] = stored_layer_poolings(self._folder, ending, self._list()[ending])
        return self._layer_poolings[ending]

    def numbers(self, layer_poolings: Collection[LayerPooling]) -> dict[LayerPooling, set[int]]:
        """Return the chunk numbers stored for each layer and pooling."""
        found: dict[LayerPooling, set[int]] = {key: set() for key in layer_poolings}
        for ending, stored in self._list().items():
            for layer_pooling in self.layer_poolings(ending) & set(layer_poolings):
                found[layer_pooling] |= stored
        return found

    def _list(self) -> dict[str, set[int]]:
        if self._numbers is None:
            try:
                names = list_names(self._folder)
                self._numbers = chunk_numbers(names)
                self._leftovers = [name for name in names if is_staging(name)]
            except OSError as error:
                _log.warning("cannot list %s (%s): continuing as if it were empty", self._folder, error)
                self._numbers = {}
        return self._numbers


@dataclass(frozen=True)
class Twin:
    """Another entry with some of the same states, possibly at another layer.

    Attributes:
        folder: Folder of the entry.
        key: Key of the entry.
        names: Its layer and pooling, by layer and pooling of the requesting entry.
        listing: Contents of its folder.
    """

    folder: Location
    key: str
    names: Mapping[LayerPooling, LayerPooling]
    listing: ShelfListing = field(repr=False, compare=False)

    def numbers(self, layer_poolings: Collection[LayerPooling]) -> dict[LayerPooling, set[int]]:
        """Return the chunk numbers stored there, by layer and pooling of the requesting entry."""
        names = {ours: self.names[ours] for ours in layer_poolings if ours in self.names}
        found = self.listing.numbers(set(names.values()))
        return {ours: found[theirs] for ours, theirs in names.items()}

    def read(self, number: int, text_hash: str, wanted: Collection[LayerPooling]) -> Found:
        """Return the states stored there for a chunk, under the requesting entry's names; damage is only logged."""
        found = Found({}, {}, 0)
        for ending in self.listing.endings(number):
            held = self.listing.layer_poolings(ending)
            missing = {ours for ours in wanted if ours not in found.tensors and self.names.get(ours) in held}
            if not missing:
                continue
            try:
                found = found.joined(self._read(self.folder / chunk_name(number, ending), text_hash, missing))
            except MissingChunk:
                continue
            except (DamagedChunk, OSError) as error:
                _log.warning("%s: file ignored", error)
        return found

    def _read(self, path: Location, text_hash: str, wanted: Collection[LayerPooling]) -> Found:
        with ChunkFile(path) as file:
            record = file.record
            if (record.shelf, record.text_hash) != (self.key, text_hash):
                return Found({}, {}, 0)
            names = {ours: self.names[ours] for ours in sorted(wanted) if self.names[ours] in record.layer_poolings}
            tensors = {ours: file.read(theirs) for ours, theirs in names.items()}
        seconds = {ours[0]: record.seconds[theirs[0]] for ours, theirs in names.items() if theirs[0] in record.seconds}
        return Found(tensors, seconds, record.truncated)


def find_twins(
    shelves: Location, key: str, parts: Mapping[str, Any], *, contents: Mapping[LayerPooling, str]
) -> list[Twin]:
    """Return the entries of a store with the same states of the same texts.

    Args:
        shelves: Folder of all entries.
        key: Key of the requesting entry.
        parts: Parts of its key.
        contents: Content ids by layer and pooling: equal ids, equal vectors of equal texts.
    """
    try:
        folders = list_folders(shelves) if contents else []
    except OSError as error:
        _log.warning("cannot list %s (%s): continuing without other entries", shelves, error)
        return []
    twins = []
    for folder in sorted(folders, key=str):
        manifest = read_manifest(folder)
        names = _match(manifest, parts, contents) if manifest.get("key") not in (None, key) else {}
        if names:
            twins.append(Twin(folder, manifest["key"], names, ShelfListing(folder)))
    return twins


def _match(
    manifest: Mapping[str, Any], parts: Mapping[str, Any], contents: Mapping[LayerPooling, str]
) -> dict[LayerPooling, LayerPooling]:
    """Return another entry's layers and poolings by those of the requesting entry."""
    theirs, found = manifest.get("parts"), manifest.get("contents")
    if not isinstance(theirs, dict) or not isinstance(found, dict):
        return {}
    if any(theirs.get(name) != parts.get(name) for name in _SAME):
        return {}
    try:
        names = {content: parse_layer_pooling(name) for name, content in found.items()}
    except (ValueError, TypeError):
        return {}
    return {ours: names[content] for ours, content in contents.items() if content in names}


def read_manifest(folder: Location) -> dict[str, Any]:
    """Return the manifest of an entry; empty if it is unreadable."""
    try:
        manifest = read_sealed(folder / MANIFEST)
    except (OSError, ValueError):
        return {}
    return manifest if isinstance(manifest, dict) else {}


def named_contents(contents: Mapping[LayerPooling, str]) -> dict[str, str]:
    """Return content ids in the form used in a manifest."""
    return {f"{layer}:{pooling}": content for (layer, pooling), content in contents.items()}
