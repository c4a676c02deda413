"""Locations of data sets and stores: local folders, or URLs that fsspec supports."""

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from probe.errors import CallError, DataError, first_line
from probe.io.remote_path import Location, RemotePath, modified_time

__all__ = ["FoundFile", "is_url", "list_folders", "list_names", "list_sizes", "locate", "remove", "touch", "walk_files"]

_EXPECTED = "expected a folder, or a URL such as s3://bucket/folder, gs://bucket/folder or file:///folder"


def is_url(name: str) -> bool:
    """Return whether a name is a URL, not a path."""
    return "://" in name


def locate(name: str) -> Location:
    """Return the path of a folder name or URL; it need not exist.

    Args:
        name: Path or fsspec URL; `file://` URLs become local paths.

    Returns:
        A `pathlib.Path` or a `RemotePath`.

    Raises:
        CallError: If the URL's protocol is unknown or its package is not installed.
        DataError: If the file system cannot be opened.
    """
    if not is_url(name):
        return Path(name)
    if not name.partition("://")[2].strip("/"):
        raise CallError(f"'{name}' is not a folder or URL: {_EXPECTED}")
    from fsspec.core import url_to_fs
    from fsspec.implementations.local import LocalFileSystem

    try:
        files, path = url_to_fs(name)
    except ImportError as error:
        raise CallError(f"'{name}' needs a package that is not installed: {first_line(error)}") from error
    except ValueError as error:
        raise CallError(f"'{name}' cannot be opened ({first_line(error)}): {_EXPECTED}") from error
    except Exception as error:  # each backend raises its own types
        raise DataError(f"'{name}' is unreachable ({type(error).__name__}: {first_line(error)})") from error
    return Path(path) if isinstance(files, LocalFileSystem) else RemotePath(name.rstrip("/"))


@dataclass(frozen=True)
class FoundFile:
    """A file in a listing.

    Attributes:
        path: Full path.
        size: In bytes.
        modified: Modification time, in seconds since 1970.
    """

    path: Location
    size: int
    modified: float


def walk_files(folder: Location) -> list[FoundFile]:
    """Return all files below a folder, sorted by name; empty if the folder does not exist."""
    found = _walk_local(folder) if isinstance(folder, Path) else _walk_remote(folder)
    return sorted(found, key=lambda file: str(file.path))


def _walk_local(folder: Path) -> Iterator[FoundFile]:
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # another process may have deleted or renamed it
            state = path.stat()
            if path.is_file():
                yield FoundFile(path, state.st_size, state.st_mtime)


def _walk_remote(folder: RemotePath) -> Iterator[FoundFile]:
    for path, about in folder.find():
        yield FoundFile(path, int(about.get("size") or 0), modified_time(about))


def list_names(folder: Location) -> list[str]:
    """Return the names in a folder from one listing; empty if the folder does not exist."""
    try:
        return [path.name for path in folder.iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []


def list_folders(folder: Location) -> list[Location]:
    """Return the subfolders of a folder; empty if the folder does not exist."""
    if isinstance(folder, RemotePath):
        return [*folder.folders()]
    return [path for path in folder.glob("*") if path.is_dir()]


def list_sizes(path: Location) -> list[int]:
    """Return the size in bytes of a file, or of each file below a folder."""
    if path.is_dir():
        return [file.size for file in walk_files(path)]
    if isinstance(path, RemotePath):
        return [path.size()]
    return [path.stat().st_size]


def touch(path: Location) -> None:
    """Set the modification time of an existing file to now."""
    if isinstance(path, RemotePath):
        path.write_bytes(path.read_bytes())
    else:
        os.utime(path)


def remove(path: Location) -> None:
    """Delete a file if it exists, or a folder with its contents."""
    if not path.is_dir():
        path.unlink(missing_ok=True)
    elif isinstance(path, RemotePath):
        path.remove_tree()
    else:
        shutil.rmtree(path)
