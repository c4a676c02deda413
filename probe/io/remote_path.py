"""Remote files and folders that fsspec supports, with the part of `pathlib`'s interface used here."""

import io
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from probe.errors import first_line

__all__ = ["Location", "RemotePath", "modified_time"]

# Block size of streamed reads.
_BUFFER = 1 << 22

# Keys under which fsspec's file systems report the modification time.
_MODIFIED = ("mtime", "LastModified", "last_modified", "updated", "created")


@dataclass(frozen=True, order=True)
class RemotePath:
    """A remote file or folder; errors of its file system are raised as OSError.

    Attributes:
        url: URL with its protocol, such as `s3://bucket/folder/file`.
    """

    url: str

    def __str__(self) -> str:
        return self.url

    def __truediv__(self, name: str) -> "RemotePath":
        return RemotePath(f"{self.url.rstrip('/')}/{name}")

    @property
    def name(self) -> str:
        """Return the last part of the URL."""
        return self.url.rstrip("/").rpartition("/")[2]

    @property
    def suffix(self) -> str:
        """Return the suffix with its dot, or an empty string."""
        stem, dot, end = self.name.rpartition(".")
        return dot + end if stem else ""

    @property
    def parent(self) -> "RemotePath":
        """Return the parent folder."""
        return RemotePath(self.url.rstrip("/").rpartition("/")[0])

    def exists(self) -> bool:
        """Return whether it is a file or a non-empty folder."""
        return self._kind() is not None

    def is_dir(self) -> bool:
        """Return whether it is a folder."""
        return self._kind() == "directory"

    def _kind(self) -> str | None:
        """Return `file`, `directory` or None; fsspec's `exists` mistakes a network error for a missing file."""
        with self._reached() as (files, path):
            files.invalidate_cache()
            try:
                return str(files.info(path)["type"])
            except FileNotFoundError:
                return None

    def iterdir(self) -> Iterator["RemotePath"]:
        """Yield the current contents of the folder, bypassing fsspec's listing cache."""
        return (path for path, _ in self._list())

    def folders(self) -> list["RemotePath"]:
        """Return the subfolders; empty if the folder does not exist."""
        try:
            return [path for path, kind in self._list() if kind == "directory"]
        except FileNotFoundError:
            return []

    def _list(self) -> list[tuple["RemotePath", str]]:
        """Return the contents of the folder with their types."""
        with self._reached() as (files, path):
            files.invalidate_cache()
            found = [(_below(path, about["name"]), about["type"]) for about in files.ls(path, detail=True)]
        return [(self / name, kind) for name, kind in found if name]

    def size(self) -> int:
        """Return the size in bytes."""
        with self._reached() as (files, path):
            size = files.size(path)
        if size is None:
            raise OSError(f"{self.url}: file size unknown")
        return int(size)

    def find(self) -> list[tuple["RemotePath", dict[str, Any]]]:
        """Return every file below the folder with its metadata; empty if the folder does not exist."""
        with self._reached() as (files, path):
            files.invalidate_cache()
            try:
                found = files.find(path, detail=True)
            except FileNotFoundError:
                return []
            return [(self / below, about) for name, about in found.items() if (below := _below(path, name))]

    def open(self, mode: str = "rb") -> io.BufferedReader:
        """Open the file for reading; `mode` must be `rb`."""
        if mode != "rb":
            raise ValueError(f"remote files can only be opened with 'rb', not with '{mode}'")
        return io.BufferedReader(_Stream(self, self.size()), _BUFFER)

    def read_bytes(self, start: int | None = None, end: int | None = None) -> bytes:
        """Return the bytes of the file, or those from `start` up to `end`."""
        with self._reached() as (files, path):
            return bytes(files.cat_file(path, start=start, end=end))

    def write_bytes(self, data: bytes) -> None:
        """Write the whole file at once; object stores make this atomic."""
        with self._reached() as (files, path):
            if path.startswith("/"):  # a file system with folders, not a bucket
                files.makedirs(files._parent(path), exist_ok=True)
            files.pipe_file(path, data)

    def unlink(self, missing_ok: bool = False) -> None:
        """Delete the file; with `missing_ok`, it may be missing."""
        try:
            with self._reached() as (files, path):
                files.rm_file(path)
        except FileNotFoundError:
            if not missing_ok:
                raise

    def remove_tree(self) -> None:
        """Delete the folder with its contents."""
        with self._reached() as (files, path):
            files.rm(path, recursive=True)

    @contextmanager
    def _reached(self) -> Iterator[tuple[Any, str]]:
        """Yield the file system and the path within it."""
        from fsspec.core import url_to_fs

        try:
            yield url_to_fs(self.url)
        except OSError:
            raise
        except Exception as error:  # each backend raises its own types
            raise OSError(f"{self.url}: {type(error).__name__}: {first_line(error)}") from error


# Location of a data set or a store.
Location = Path | RemotePath


class _Stream(io.RawIOBase):
    """A remote file read lazily: only the bytes read are fetched."""

    def __init__(self, path: RemotePath, size: int) -> None:
        super().__init__()
        self._path, self._size, self._position = path, size, 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer and return the number of bytes read."""
        end = min(self._position + len(buffer), self._size)
        data = self._path.read_bytes(self._position, end) if end > self._position else b""
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Change the position and return it; nothing is fetched."""
        self._position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        return self._position

    def tell(self) -> int:
        """Return the current position."""
        return self._position


def _below(folder: str, name: str) -> str:
    """Return a name relative to a folder; empty for the folder itself."""
    return name.rstrip("/").removeprefix(folder.rstrip("/")).lstrip("/")


def modified_time(about: dict[str, Any]) -> float:
    """Return the modification time in seconds since 1970, or now if the file system reports none."""
    value = next((about[key] for key in _MODIFIED if about.get(key) is not None), None)
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if isinstance(value, datetime):
        value = (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    return time.time() if value is None else float(value)
