"""Files anywhere fsspec reaches, under their URLs, with as much of `pathlib`'s ways as data sets and stores need."""

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

# Fetched at once where a file is read as a stream.
_BUFFER = 1 << 22

# Where the file systems of fsspec say when a file was written.
_MODIFIED = ("mtime", "LastModified", "last_modified", "updated", "created")


@dataclass(frozen=True, order=True)
class RemotePath:
    """A file or folder by its URL; whatever its file system raises comes out as an OSError.

    Attributes:
        url: With its protocol, such as `s3://bucket/folder/file`.
    """

    url: str

    def __str__(self) -> str:
        return self.url

    def __truediv__(self, name: str) -> "RemotePath":
        return RemotePath(f"{self.url.rstrip('/')}/{name}")

    @property
    def name(self) -> str:
        """The last part of the URL."""
        return self.url.rstrip("/").rpartition("/")[2]

    @property
    def suffix(self) -> str:
        """The end of the name from its last dot on, or nothing."""
        stem, dot, end = self.name.rpartition(".")
        return dot + end if stem else ""

    @property
    def parent(self) -> "RemotePath":
        """The folder that it is in."""
        return RemotePath(self.url.rstrip("/").rpartition("/")[0])

    def exists(self) -> bool:
        """Whether there is a file, or a folder with anything in it."""
        return self._kind() is not None

    def is_dir(self) -> bool:
        """Whether it is a folder."""
        return self._kind() == "directory"

    def _kind(self) -> str | None:
        """Return `file`, `directory` or None; `exists` of fsspec takes a network that is down for a missing file."""
        with self._reached() as (files, path):
            files.invalidate_cache()
            try:
                return str(files.info(path)["type"])
            except FileNotFoundError:
                return None

    def iterdir(self) -> Iterator["RemotePath"]:
        """Yield what is in the folder, as it is now and not as it was when it was last listed."""
        return (path for path, _ in self._list())

    def folders(self) -> list["RemotePath"]:
        """Return the folders in the folder; none where there is no folder."""
        try:
            return [path for path, kind in self._list() if kind == "directory"]
        except FileNotFoundError:
            return []

    def _list(self) -> list[tuple["RemotePath", str]]:
        """Return what is in the folder, and of what type each is."""
        with self._reached() as (files, path):
            files.invalidate_cache()
            found = [(_below(path, about["name"]), about["type"]) for about in files.ls(path, detail=True)]
        return [(self / name, kind) for name, kind in found if name]

    def size(self) -> int:
        """Return how many bytes the file has."""
        with self._reached() as (files, path):
            size = files.size(path)
        if size is None:
            raise OSError(f"{self.url}: nobody says how large it is")
        return int(size)

    def find(self) -> list[tuple["RemotePath", dict[str, Any]]]:
        """Return every file below the folder, with what its file system says of it; none where there is no folder."""
        with self._reached() as (files, path):
            files.invalidate_cache()
            try:
                found = files.find(path, detail=True)
            except FileNotFoundError:
                return []
            return [(self / below, about) for name, about in found.items() if (below := _below(path, name))]

    def open(self, mode: str = "rb") -> io.BufferedReader:
        """Open the file for reading; `mode` is `rb`, as pathlib has it too."""
        if mode != "rb":
            raise ValueError(f"a remote file is opened to read bytes ('rb'), not with '{mode}'")
        return io.BufferedReader(_Stream(self, self.size()), _BUFFER)

    def read_bytes(self, start: int | None = None, end: int | None = None) -> bytes:
        """Return the file, or its bytes from `start` to before `end`."""
        with self._reached() as (files, path):
            return bytes(files.cat_file(path, start=start, end=end))

    def write_bytes(self, data: bytes) -> None:
        """Put the whole file in one go: an object store shows all of it or what was there before."""
        with self._reached() as (files, path):
            if path.startswith("/"):  # no bucket but a tree, whose folders have to be there
                files.makedirs(files._parent(path), exist_ok=True)
            files.pipe_file(path, data)

    def unlink(self, missing_ok: bool = False) -> None:
        """Delete the file, which may be gone where `missing_ok` says so."""
        try:
            with self._reached() as (files, path):
                files.rm_file(path)
        except FileNotFoundError:
            if not missing_ok:
                raise

    def remove_tree(self) -> None:
        """Delete the folder with all that is in it."""
        with self._reached() as (files, path):
            files.rm(path, recursive=True)

    @contextmanager
    def _reached(self) -> Iterator[tuple[Any, str]]:
        """Give the file system, and the path as it names it."""
        from fsspec.core import url_to_fs

        try:
            yield url_to_fs(self.url)
        except OSError:
            raise
        except Exception as error:  # every backend has errors of its own
            raise OSError(f"{self.url}: {type(error).__name__}: {first_line(error)}") from error


# Where a data set or a store lies.
Location = Path | RemotePath


class _Stream(io.RawIOBase):
    """A remote file of which nothing is fetched but what is read."""

    def __init__(self, path: RemotePath, size: int) -> None:
        super().__init__()
        self._path, self._size, self._position = path, size, 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fetch as much as the buffer takes, and return how much that was."""
        end = min(self._position + len(buffer), self._size)
        data = self._path.read_bytes(self._position, end) if end > self._position else b""
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to another position, and return it; nothing is fetched."""
        self._position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position


def _below(folder: str, name: str) -> str:
    """Return a name as seen from its folder; nothing where it is the folder itself."""
    return name.rstrip("/").removeprefix(folder.rstrip("/")).lstrip("/")


def modified_time(about: dict[str, Any]) -> float:
    """Return when a file was written, in seconds since 1970; now, where its file system does not say."""
    value = next((about[key] for key in _MODIFIED if about.get(key) is not None), None)
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if isinstance(value, datetime):
        value = (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    return time.time() if value is None else float(value)
