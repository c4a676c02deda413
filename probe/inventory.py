"""What is in a store: list its shelves, check every checksum, delete."""

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from probe.chunk_file import ChunkFile, DamagedChunk, places_in
from probe.files import SCRATCH, read_sealed
from probe.store import MANIFEST, Store

__all__ = ["ShelfSummary", "find_rubbish", "list_shelves", "prune", "select_shelves", "verify"]

# A file another process may still be writing is not yet rubbish.
_STILL_WRITING = 3600.0
_DAY = 86_400.0


# Told the files checked since the last call, and the files in all.
OnFile = Callable[[int, int], None]


def _ignore(done: int, total: int) -> None:
    """Report nothing."""


@dataclass(frozen=True)
class ShelfSummary:
    """A shelf at a glance.

    Attributes:
        folder: Its folder.
        model: The model as it was typed, or `?` where the manifest cannot be read.
        dataset: Name of the data set.
        side: `documents` or `queries`.
        texts: Number of texts of the whole side.
        dtype: What the encoder computed in.
        max_tokens: Longest input in tokens.
        hookpoints: Number of layers and poolings of which anything is stored.
        chunks: Number of chunks of which anything is stored.
        bytes: Size on disk.
        used: When it was last opened, in ISO 8601.
    """

    folder: Path
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
    """Return the shelves of a store, by model, data set and side.

    Args:
        store: The store.

    Returns:
        Their summaries; none where the store is not there yet.
    """
    found = [_summarise(folder) for folder in (store.folder / "shelves").glob("*") if folder.is_dir()]
    return sorted(found, key=lambda shelf: (shelf.model, shelf.dataset, shelf.side, shelf.folder.name))


def _summarise(folder: Path) -> ShelfSummary:
    manifest = _manifest(folder)
    about, parts = manifest.get("about", {}), manifest.get("parts", {})
    files = sorted(folder.glob("*.safetensors"))
    places = {place for path in files for place in places_in(path)}
    used = (folder / MANIFEST if manifest else folder).stat().st_mtime
    return ShelfSummary(
        folder=folder,
        model=about.get("model", "?"),
        dataset=about.get("dataset", "?"),
        side=about.get("side", "?"),
        texts=about.get("texts", 0),
        dtype=parts.get("dtype", "?"),
        max_tokens=parts.get("max_tokens", 0),
        hookpoints=len(places),
        chunks=len({path.name.partition("-")[0] for path in files}),
        bytes=sum(path.stat().st_size for path in files),
        used=datetime.fromtimestamp(used, UTC).isoformat(timespec="seconds"),
    )


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        manifest = read_sealed(folder / MANIFEST)
    except (OSError, ValueError):
        return {}
    return manifest if isinstance(manifest, dict) else {}


def verify(store: Store, on_file: OnFile = _ignore) -> list[str]:
    """Check every checksum of a store; nothing is changed.

    Args:
        store: The store.
        on_file: Told the files checked since the last call, and the files in all.

    Returns:
        One message per damaged file.
    """
    return list(_find_damage(store, on_file).values())


def _find_damage(store: Store, on_file: OnFile) -> dict[Path, str]:
    files = [*_sealed_files(store), *_chunk_files(store)]
    damage = {}
    for path in files:
        problem = _check(path)
        if problem:
            damage[path] = problem
        on_file(1, len(files))
    return damage


def _sealed_files(store: Store) -> list[Path]:
    return sorted([*store.folder.glob(f"shelves/*/{MANIFEST}"), *store.folder.glob("models/*.json")])


def _chunk_files(store: Store) -> list[Path]:
    return sorted(store.folder.glob("shelves/*/*.safetensors"))


def _check(path: Path) -> str | None:
    try:
        if path.suffix == ".json":
            read_sealed(path)
        else:
            with ChunkFile(path) as file:
                for place in file.record.places:
                    file.read(place)
    except DamagedChunk as error:
        return str(error)
    except (OSError, ValueError) as error:
        return f"{path} is damaged ({error})"
    return None


def find_rubbish(store: Store, on_file: OnFile = _ignore) -> list[Path]:
    """Return what no run can use: damaged files, and files an interrupted run left half-written.

    Args:
        store: The store.
        on_file: Told the files checked since the last call, and the files in all.

    Returns:
        Their paths.
    """
    old = time.time() - _STILL_WRITING
    parts = [path for path in store.folder.rglob(f".*{SCRATCH}") if path.stat().st_mtime < old]
    return [*parts, *_find_damage(store, on_file)]


def select_shelves(
    store: Store, model: str | None = None, unused_days: float | None = None, everything: bool = False
) -> list[Path]:
    """Return the folders of shelves to delete; a shelf has to meet every condition given.

    Args:
        store: The store.
        model: Only this model's, as it was typed.
        unused_days: Only those not opened for so many days.
        everything: All of them, where there is no other condition.

    Returns:
        Folders, none where there is no condition at all.
    """
    if model is None and unused_days is None and not everything:
        return []
    return [shelf.folder for shelf in list_shelves(store) if _meets(shelf, model, unused_days)]


def _meets(shelf: ShelfSummary, model: str | None, unused_days: float | None) -> bool:
    idle = (datetime.now(UTC) - datetime.fromisoformat(shelf.used)).total_seconds() / _DAY
    return (model is None or shelf.model == model) and (unused_days is None or idle >= unused_days)


def prune(paths: list[Path]) -> tuple[int, int]:
    """Delete files and folders.

    Args:
        paths: What `find_rubbish` and `select_shelves` gave.

    Returns:
        Number of files deleted and their bytes.
    """
    files = [file for path in paths for file in _files_in(path)]
    size = sum(file.stat().st_size for file in files)
    for path in paths:
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    return len(files), size


def _files_in(path: Path) -> Iterator[Path]:
    return (file for file in path.rglob("*") if file.is_file()) if path.is_dir() else iter([path])
