"""Files that are whole or not there, and JSON that knows whether it was damaged."""

import hashlib
import json
import secrets
import tempfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from probe.io.remote_path import Location, RemotePath

__all__ = [
    "SCRATCH",
    "digest",
    "hash_files",
    "put_bytes",
    "read_sealed",
    "replace_file",
    "replace_folder",
    "seal",
    "unseal",
    "write_sealed",
]

# Ends the name of a file that is still being written.
SCRATCH = ".part"


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file under another name and rename it, so that no reader ever sees half of it.

    Raises:
        OSError: The file cannot be written; nothing is left behind.
    """
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(4)}{SCRATCH}")
    try:
        write(scratch)
        scratch.replace(path)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise


def put_bytes(path: Location, data: bytes) -> None:
    """Write a file in one piece, whole or not at all; one that is there is replaced."""
    if isinstance(path, RemotePath):
        path.write_bytes(data)
    else:
        replace_file(path, lambda scratch: scratch.write_bytes(data))


def replace_folder(out: Path, fill: Callable[[Path], object]) -> None:
    """Write a folder under another name and rename it, so that it is whole or not there.

    Args:
        out: Where the folder goes; one that is there is replaced, and comes back where that fails.
        fill: Writes into the empty folder it is given; whatever it raises leaves nothing behind.

    Raises:
        OSError: The folder cannot be written.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as scratch:
        made = Path(scratch) / "made"
        made.mkdir()
        fill(made)
        _swap(made, out, Path(scratch) / "replaced")


def _swap(made: Path, out: Path, aside: Path) -> None:
    """Put `made` in the place of `out`; where that fails, `out` is there again as it was."""
    if out.exists():
        out.rename(aside)
    try:
        made.rename(out)
    except BaseException:
        if aside.exists():
            aside.rename(out)
        raise


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
