"""Files that are whole or not there, and JSON that knows whether it was damaged."""

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
    errno.ENOSPC: "no space is left on the disk",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file would be larger than is allowed here",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.ENAMETOOLONG: "the name is too long",
}
_OTHERS = (errno.EIO, errno.EMFILE, errno.ENFILE)
# Names the number that a library in Rust saw, which raises errors of its own.
_RUST = re.compile(r"\(os error (\d+)\)")
# torch says of a full disk no more than where its writer failed.
_TORCH = "inline_container.cc"
# Tried for a file whose name was taken while it was made.
_MOST_NAMES = 1000


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file under another name and rename it, so that no reader ever sees half of it.

    Raises:
        OSError: The file cannot be written; nothing is left behind.
    """
    place = follow_link(path)
    with staging(place) as made, _refusals():
        write(made)
        follow_umask(made, place)
        made.replace(place)


def write_file(path: Path, write: Callable[[Path], object], before: Stamp | None) -> Path:
    """Write a file that a user named; where another has got its name in the meantime, it gets one beside it.

    Args:
        path: Where it goes.
        write: Writes to the path that it is given, whose name ends like that of the file.
        before: What `stamp_of` said of the path when it was decided that the file may go there.

    Returns:
        Where it is.

    Raises:
        OSError: The file cannot be written; nothing is left behind.
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
    """Write a file in one piece, whole or not at all; one that is there is replaced."""
    if isinstance(path, RemotePath):
        path.write_bytes(data)
    else:
        replace_file(path, lambda scratch: scratch.write_bytes(data))


def replace_folder(out: Path, fill: Callable[[Path], object], before: Stamp | None = None) -> None:
    """Write a folder under another name and rename it, so that it is whole or not there.

    Args:
        out: Where the folder goes.
        fill: Writes into the empty folder it is given; whatever it raises leaves nothing behind.
        before: What `stamp_of` said of `out` when it was decided that it may be replaced; anything else that is
            there in the end stays. Left out where nothing was there.

    Raises:
        TargetChanged: Something else is there; it stays.
        OSError: The folder cannot be written.
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
    """Turn errors of libraries that the system caused into those of the system."""
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
    """Return what the system refused, where that is behind an error of a library; None where it is something else."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in (*_REASONS, *_OTHERS):
            return seen
        if found := _RUST.search(str(seen)):
            return OSError(int(found[1]), os.strerror(int(found[1])))
        if _TORCH in str(seen) and "enforce fail" in str(seen):
            return OSError("torch could not write a file: is the disk full?")
        seen = seen.__cause__ or seen.__context__
    return None


def find_refusal(path: Path) -> str:
    """Return in words why nothing can be made at a path, as far as that can be known before; nothing where it can."""
    known = path if path.exists() and not path.is_dir() else path.parent
    while not known.exists() and known != known.parent:
        known = known.parent
    if not known.is_dir() and known != path:
        return f"'{known}' is no folder"
    return "" if os.access(known, os.W_OK) else f"'{known}' is read-only, or permission is denied"


def reason(error: OSError) -> str:
    """Return in words what the system refused."""
    known = _REASONS.get(error.errno) if error.errno is not None else None
    return known or error.strerror or first_line(error)


def seal(value: Any) -> str:
    """Return a value as JSON together with its checksum."""
    return json.dumps({"value": value, "sha256": digest(value)}, indent=1)


def unseal(text: str | bytes) -> Any:
    """Return the value of sealed JSON.

    Raises:
        ValueError: The text is not what was sealed.
    """
    sealed = json.loads(text)
    if not isinstance(sealed, dict) or sealed.get("sha256") != digest(sealed.get("value")):
        raise ValueError("its checksum is wrong")
    return sealed["value"]


def digest(value: Any) -> str:
    """Return a sha256 over plain values, as they are when they come back from JSON: equal digests, equal values."""
    # Keys that are numbers come back as strings, which sort in another order.
    plain = json.loads(json.dumps(value))
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def write_sealed(path: Location, value: Any) -> None:
    """Write a value as sealed JSON, whole or not at all."""
    put_bytes(path, f"{seal(value)}\n".encode())


def read_sealed(path: Location) -> Any:
    """Read sealed JSON.

    Raises:
        ValueError: The file is damaged.
        OSError: It cannot be read.
    """
    return unseal(path.read_bytes())


def hash_files(paths: list[Path]) -> str:
    """Return the sha256 over the bytes of several files, in the order given; an unchanged file is read once."""
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
