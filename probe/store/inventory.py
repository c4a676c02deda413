"""Inventory of a store: list entries, verify checksums, delete."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from rich import box
from rich.table import Table
from rich.text import Text

from probe.io.files import read_sealed
from probe.io.locations import FoundFile, list_folders, list_sizes, remove, walk_files
from probe.io.remote_path import Location, RemotePath
from probe.io.staging import SCRATCH, find_dead, is_staging
from probe.store.chunk_file import ChunkFile, DamagedChunk, MissingChunk, chunk_numbers, stored_layer_poolings
from probe.store.listing import MANIFEST, read_manifest
from probe.store.store import Store

__all__ = [
    "ShelfSummary",
    "find_leftovers",
    "find_rubbish",
    "list_shelves",
    "prune",
    "select_shelves",
    "store_table",
    "verify",
]

# Younger files may still be in use by another process.
_STILL_WRITING = 3600.0
_DAY = 86_400.0


# Called with the number of files checked since the last call, and the total.
OnFile = Callable[[int, int], None]


@dataclass(frozen=True)
class ShelfSummary:
    """Summary of a store entry.

    Attributes:
        folder: Folder of the entry.
        model: Model as given, or `?` if the manifest is unreadable.
        dataset: Name of the data set.
        side: `documents` or `queries`.
        texts: Number of texts of that side.
        dtype: Compute dtype of the encoder.
        max_tokens: Maximum input length in tokens.
        hookpoints: Number of layers and poolings with stored states.
        chunks: Number of chunks with stored states.
        bytes: Size on disk.
        used: Time of last use, in ISO 8601.
    """

    folder: Location
    model: str
    dataset: str
    side: str
    texts: int
    dtype: str
    max_tokens: int
    hookpoints: int
    chunks: int
    bytes: int
    used: str


def list_shelves(store: Store) -> list[ShelfSummary]:
    """Return the entries of a store by model, data set and side; empty if the store does not exist."""
    found = [_summarize(folder) for folder in list_folders(store.folder / "shelves")]
    return sorted(found, key=lambda shelf: (shelf.model, shelf.dataset, shelf.side, shelf.folder.name))


def _summarize(folder: Location) -> ShelfSummary:
    manifest = read_manifest(folder)
    about, parts = manifest.get("about", {}), manifest.get("parts", {})
    found = walk_files(folder)
    files = [file for file in found if file.path.suffix == ".safetensors"]
    numbers = chunk_numbers(file.path.name for file in files)
    layer_poolings = {
        key for ending, stored in numbers.items() for key in stored_layer_poolings(folder, ending, stored)
    }
    return ShelfSummary(
        folder=folder,
        model=about.get("model", "?"),
        dataset=about.get("dataset", "?"),
        side=about.get("side", "?"),
        texts=about.get("texts", 0),
        dtype=parts.get("dtype", "?"),
        max_tokens=parts.get("max_tokens", 0),
        hookpoints=len(layer_poolings),
        chunks=len(set().union(*numbers.values())),
        bytes=sum(file.size for file in files),
        used=datetime.fromtimestamp(_last_use(found), UTC).isoformat(timespec="seconds"),
    )


def store_table(shelves: list[ShelfSummary]) -> Table:
    """Return the entries as a rich table with sizes in megabytes."""
    table = Table(header_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), caption_justify="left")
    for title in ("model", "data set", "side", "dtype"):
        table.add_column(title, no_wrap=True)
    for title in ("tokens", "texts", "hookpoints", "chunks", "MB", "last used"):
        table.add_column(title, justify="right", no_wrap=True)
    for shelf in shelves:
        numbers = (shelf.max_tokens, shelf.texts, shelf.hookpoints, shelf.chunks)
        words = (shelf.model, shelf.dataset, shelf.side, shelf.dtype)
        table.add_row(*map(Text, words), *map(str, numbers), f"{shelf.bytes / 1e6:.1f}", shelf.used[:16])
    total = sum(shelf.bytes for shelf in shelves) / 1e6
    table.caption = f"{len(shelves)} {'entry' if len(shelves) == 1 else 'entries'}, {total:.1f} MB"
    return table


def _last_use(files: list[FoundFile]) -> float:
    """Return the modification time of an entry's manifest; without a manifest, of its newest file."""
    manifests = [file.modified for file in files if file.path.name == MANIFEST]
    return max(manifests or [file.modified for file in files] or [time.time()])


def verify(store: Store, on_file: OnFile = lambda done, total: None) -> list[str]:
    """Verify every checksum of a store without changing anything; return one message per damaged file."""
    return list(_find_damage(store, on_file).values())


def _find_damage(store: Store, on_file: OnFile) -> dict[Location, str]:
    files = _list_files(store)
    damage = {}
    for path in files:
        problem = _check(path)
        if problem:
            damage[path] = problem
        on_file(1, len(files))
    return damage


def _list_files(store: Store) -> list[Location]:
    facts = [file.path for file in walk_files(store.folder / "models") if file.path.suffix == ".json"]
    shelves = [file.path for file in walk_files(store.folder / "shelves")]
    manifests = [path for path in shelves if path.name == MANIFEST]
    return [*facts, *manifests, *(path for path in shelves if path.suffix == ".safetensors")]


def _check(path: Location) -> str | None:
    """Return how a file is damaged, or None.

    Raises:
        OSError: If a remote file cannot be read, so its state is unknown.
    """
    try:
        if path.suffix == ".json":
            read_sealed(path)
        else:
            _read_all(path)
    except (FileNotFoundError, MissingChunk):  # deleted by another process in the meantime
        return None
    except DamagedChunk as error:
        return str(error)
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and isinstance(path, RemotePath):
            raise
        return f"{path} is damaged ({error})"
    return None


def _read_all(path: Location) -> None:
    with ChunkFile(path) as file:
        for layer_pooling in file.record.layer_poolings:
            file.read(layer_pooling)


def find_rubbish(store: Store, on_file: OnFile = lambda done, total: None) -> list[Location]:
    """Return the paths of unusable files: damaged files and leftovers of interrupted runs."""
    return [*find_leftovers(store), *_find_damage(store, on_file)]


def find_leftovers(store: Store) -> list[Location]:
    """Return the leftovers of interrupted runs: staging folders of dead processes, and old files."""
    old = time.time() - _STILL_WRITING
    parts = [file.path for file in walk_files(store.folder) if _is_scratch(file.path) and file.modified < old]
    if isinstance(store.folder, RemotePath):
        return [*parts]
    return [*parts, *find_dead(path for path in sorted(store.folder.rglob(f".*{SCRATCH}")) if is_staging(path.name))]


def _is_scratch(path: Location) -> bool:
    return path.name.startswith(".") and path.name.endswith(SCRATCH)


def select_shelves(
    store: Store, model: str | None = None, unused_days: float | None = None, *, everything: bool = False
) -> list[Location]:
    """Return the folders of entries to delete; an entry has to meet all given conditions.

    Args:
        store: The store.
        model: Only entries of this model, by its name as given.
        unused_days: Only entries not used for this many days.
        everything: All entries, if no other condition is given.

    Returns:
        Folders; empty without any condition.
    """
    if model is None and unused_days is None and not everything:
        return []
    return [shelf.folder for shelf in list_shelves(store) if _meets(shelf, model, unused_days)]


def _meets(shelf: ShelfSummary, model: str | None, unused_days: float | None) -> bool:
    idle = (datetime.now(UTC) - datetime.fromisoformat(shelf.used)).total_seconds() / _DAY
    return (model is None or shelf.model == model) and (unused_days is None or idle >= unused_days)


def prune(paths: list[Location]) -> tuple[int, int]:
    """Delete files and folders; return the number of files deleted and their bytes."""
    sizes = [size for path in paths for size in list_sizes(path)]
    for path in paths:
        remove(path)
    return len(sizes), sum(sizes)
