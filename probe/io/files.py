"""Atomic writes of files and folders, JSON with checksums, and messages for operating-system errors."""

import errno
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from probe.errors import ProbeError, first_line
from probe.io.publishing import Stamp, TargetChanged, exchange, follow_link, move_new
from probe.io.remote_path import Location, RemotePath
from probe.io.staging import follow_umask, staging, sweep

__all__ = [
    "as_refusal",
    "digest",
    "find_refusal",
    "hash_files",
    "put_bytes",
    "read_sealed",
    "reason",
    "replace_file",
    "replace_folder",
    "seal",
    "unseal",
    "write_file",
    "write_sealed",
]

_REASONS = {
    errno.ENOSPC: "no space left on disk",
    errno.EDQUOT: "disk quota exceeded",
    errno.EFBIG: "file too large for this file system",
    errno.EROFS: "read-only file system",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.ENAMETOOLONG: "file name too long",
}
_OTHERS = (errno.EIO, errno.EMFILE, errno.ENFILE)
# Libraries written in Rust raise their own errors, with the errno in the message.
_RUST = re.compile(r"\(os error (\d+)\)")
# torch reports a full disk only as a failed check in this file.
_TORCH = "inline_container.cc"
# Alternative names tried if the name was taken while the file was written.
_MOST_NAMES = 1000


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file atomically: to a temporary file, then rename.

    Raises:
        OSError: If the file cannot be written; nothing is left behind.
    """
    place = follow_link(path)
    with staging(place) as made, _refusals():
        write(made)
        follow_umask(made, place)
        made.replace(place)


def write_file(path: Path, write: Callable[[Path], object], before: Stamp | None) -> Path:
    """Write a user-named file atomically; if the target changed meanwhile, write to a numbered name beside it.

    Args:
        path: Target path.
        write: Writes to the given temporary path, which has the target's suffix.
        before: `stamp_of` the target at the time its overwriting was approved.

    Returns:
        The path written.

    Raises:
        OSError: If the file cannot be written; nothing is left behind.
    """
    place = follow_link(path)
    sweep(place.parent)
    with staging(place) as scratch, _refusals():
        made = scratch.with_name(f"{scratch.name}{path.suffix}")
        write(made)
        follow_umask(made, place)
        if before is not None:
            with suppress(TargetChanged):
                exchange(made, place, before)
                return path
        for number in range(_MOST_NAMES):
            free = place.with_name(f"{place.stem}-{number}{place.suffix}") if number else place
            with suppress(TargetChanged):
                move_new(made, free)
                return free if number else path
    raise TargetChanged(path)


def put_bytes(path: Location, data: bytes) -> None:
    """Write a file atomically; an existing file is replaced."""
    if isinstance(path, RemotePath):
        path.write_bytes(data)
    else:
        replace_file(path, lambda scratch: scratch.write_bytes(data))


def replace_folder(out: Path, fill: Callable[[Path], object], before: Stamp | None = None) -> None:
    """Write a folder atomically: to a temporary folder, then rename.

    Args:
        out: Target folder.
        fill: Writes into the given empty folder; if it raises, nothing is left behind.
        before: `stamp_of` the target at the time its replacement was approved, or None if it did not exist.
            Anything else found there at the end is kept.

    Raises:
        TargetChanged: If something else is at the target; it is kept.
        OSError: If the folder cannot be written.
    """
    place = follow_link(out)
    place.parent.mkdir(parents=True, exist_ok=True)
    sweep(place.parent)
    with staging(place) as made, _refusals():
        made.mkdir()
        fill(made)
        follow_umask(made)
        if before is None:
            move_new(made, place)
        else:
            exchange(made, place, before)


@contextmanager
def _refusals() -> Iterator[None]:
    """Convert library errors that were caused by the operating system to OSError."""
    try:
        yield
    except (OSError, ProbeError):
        raise
    except Exception as error:
        refusal = as_refusal(error)
        if refusal is None:
            raise
        raise refusal from error


def as_refusal(error: BaseException) -> OSError | None:
    """Return the OSError behind a library's error, or None if the cause is something else."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in (*_REASONS, *_OTHERS):
            return seen
        if found := _RUST.search(str(seen)):
            return OSError(int(found[1]), os.strerror(int(found[1])))
        if _TORCH in str(seen) and "enforce fail" in str(seen):
            return OSError("torch could not write a file: disk full?")
        seen = seen.__cause__ or seen.__context__
    return None


def find_refusal(path: Path) -> str:
    """Return why nothing can be written at a path, as far as that can be checked in advance; empty if it can."""
    known = path if path.exists() and not path.is_dir() else path.parent
    while not known.exists() and known != known.parent:
        known = known.parent
    if not known.is_dir() and known != path:
        return f"'{known}' is not a folder"
    return "" if os.access(known, os.W_OK) else f"'{known}' is read-only (or permission denied)"


def reason(error: OSError) -> str:
    """Return the operating system's reason in words."""
    known = _REASONS.get(error.errno) if error.errno is not None else None
    return known or error.strerror or first_line(error)


def seal(value: Any) -> str:
    """Return a value as JSON with a checksum."""
    return json.dumps({"value": value, "sha256": digest(value)}, indent=1)


def unseal(text: str | bytes) -> Any:
    """Return the value of JSON with a checksum.

    Raises:
        ValueError: If the checksum does not match.
    """
    sealed = json.loads(text)
    if not isinstance(sealed, dict) or sealed.get("sha256") != digest(sealed.get("value")):
        raise ValueError("checksum mismatch")
    return sealed["value"]


def digest(value: Any) -> str:
    """Return the sha256 of a JSON-serializable value; values that are equal after a JSON round trip hash equally."""
    # Numeric keys become strings in JSON, which changes their sort order.
    plain = json.loads(json.dumps(value))
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def write_sealed(path: Location, value: Any) -> None:
    """Write a value as JSON with a checksum, atomically."""
    put_bytes(path, f"{seal(value)}\n".encode())


def read_sealed(path: Location) -> Any:
    """Read JSON with a checksum.

    Raises:
        ValueError: If the file is damaged.
        OSError: If the file cannot be read.
    """
    return unseal(path.read_bytes())


def hash_files(paths: list[Path]) -> str:
    """Return the sha256 of the bytes of several files, in the given order; hashes of unchanged files are cached."""
    states = [(path, path.stat()) for path in paths]
    return _hash_states(tuple((path, state.st_size, state.st_mtime_ns) for path, state in states))


@lru_cache
def _hash_states(states: tuple[tuple[Path, int, int], ...]) -> str:
    digest = hashlib.sha256()
    for path, _, _ in states:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
