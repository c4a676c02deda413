"""An object store in memory, as an fsspec file system: keys and whole objects, no folders, no renaming."""

import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import pytest
from fsspec.spec import AbstractBufferedFile, AbstractFileSystem

__all__ = ["Bucket", "fill_bucket", "use_bucket"]


class _Writing(AbstractBufferedFile):
    """A file open for writing; like those of real buckets it keeps what it was given when it is closed early."""

    def _upload_chunk(self, final: bool = False) -> bool:
        self.buffer.seek(0)
        self.fs.put_object(self.path, self.buffer.read())
        return True


class Bucket(AbstractFileSystem):
    """Objects by key, shared by all instances; a listing is remembered until it is declared stale, as of real buckets.

    Attributes:
        objects: Bytes and time of writing per key.
        requests: How often each kind of request was made.
        broken: Kinds of request that fail, with the error.
    """

    protocol = "fake"
    root_marker = ""
    objects: ClassVar[dict[str, tuple[bytes, float]]] = {}
    requests: ClassVar[Counter[str]] = Counter()
    broken: ClassVar[dict[str, Exception]] = {}

    def _request(self, kind: str) -> None:
        self.requests[kind] += 1
        if kind in self.broken:
            raise self.broken[kind]

    def _get(self, path: str) -> bytes:
        self._request("get")
        try:
            return self.objects[path][0]
        except KeyError:
            raise FileNotFoundError(path) from None

    def put_object(self, path: str, data: bytes) -> None:
        self._request("put")
        self.objects[path] = (data, time.time())

    def ls(self, path: str, detail: bool = True, **options: Any) -> list[Any]:
        path = self._strip_protocol(path)
        if path not in self.dircache:
            self._request("list")
            self.dircache[path] = self._list(path)
        return self.dircache[path] if detail else [about["name"] for about in self.dircache[path]]

    def _list(self, path: str) -> list[dict[str, Any]]:
        if path in self.objects:
            found = {path: self._about(path)}
        else:
            prefix = f"{path}/" if path else ""
            below = [key for key in self.objects if key.startswith(prefix)]
            found = {}
            for key in below:
                head, more, _ = key[len(prefix) :].partition("/")
                name = prefix + head
                found[name] = {"name": name, "size": 0, "type": "directory"} if more else self._about(name)
        if not found:
            raise FileNotFoundError(path)
        return list(found.values())

    def invalidate_cache(self, path: str | None = None) -> None:
        self.dircache.clear()

    def _about(self, key: str) -> dict[str, Any]:
        data, written = self.objects[key]
        modified = datetime.fromtimestamp(written, UTC)
        return {"name": key, "size": len(data), "type": "file", "LastModified": modified}

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **options: Any) -> bytes:
        return self._get(self._strip_protocol(path))[start:end]

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **options: Any) -> None:
        self.put_object(self._strip_protocol(path), value)

    def rm_file(self, path: str) -> None:
        self._request("delete")
        if self.objects.pop(self._strip_protocol(path), None) is None:
            raise FileNotFoundError(path)

    def rm(self, path: str, recursive: bool = False, **options: Any) -> None:
        path = self._strip_protocol(path)
        for key in [key for key in self.objects if key == path or (recursive and key.startswith(f"{path}/"))]:
            self.rm_file(key)

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        if mode == "wb":
            return _Writing(self, path, mode)
        raise NotImplementedError("objects are read by ranges")


@pytest.fixture
def use_bucket() -> type[Bucket]:
    """Empty the bucket and let fsspec know it as `fake://`."""
    fsspec.register_implementation("fake", Bucket, clobber=True)
    Bucket.objects.clear()
    Bucket.requests.clear()
    Bucket.broken.clear()
    Bucket.clear_instance_cache()
    return Bucket


def fill_bucket(folder: Path, key: str) -> str:
    """Put the files of a folder into the bucket and return their URL."""
    for path in folder.rglob("*"):
        if path.is_file():
            Bucket.objects[f"{key}/{path.relative_to(folder).as_posix()}"] = (path.read_bytes(), time.time())
    return f"fake://{key}"
