"""Temporary folders for atomic writes: hidden and locked while in use; leftovers of killed processes are removed."""

import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: no file locks, so leftovers are never removed
    fcntl = None  # type: ignore[assignment]

__all__ = ["MADE", "SCRATCH", "find_dead", "follow_umask", "is_staging", "scratch_files", "staging", "sweep"]

# Suffix of the names of staging folders.
SCRATCH = ".part"

# Inside a staging folder: the file being written, and the lock file.
MADE, _LOCK = "made", "lock"
_NAME = re.compile(r"\..*-[0-9a-f]{16}\.part", re.DOTALL)
# Bytes of the target's name used in the staging folder's name: file systems allow 255 in total.
_LONGEST = 100


@contextmanager
def staging(beside: Path) -> Iterator[Path]:
    """Create a hidden, locked folder beside a path; it is removed afterwards.

    Args:
        beside: Target path; its parent folder must exist.

    Yields:
        An unused path in the new folder.

    Raises:
        OSError: If the folder cannot be created.
    """
    name = os.fsdecode(os.fsencode(beside.name)[:_LONGEST])
    folder, lock = _make_locked(beside.parent, name)
    try:
        yield folder / MADE
    finally:
        _remove(folder)
        os.close(lock)


@contextmanager
def scratch_files() -> Iterator[None]:
    """Put temporary files into a folder of this process, removed afterwards; first remove those of killed processes.

    If the folder cannot be created, the error is raised by the code that needs it.
    """
    before = tempfile.tempdir
    with ExitStack() as stack:
        with suppress(OSError):
            place = Path(tempfile.gettempdir(), "encoder-surgery")
            sweep(place.parent)
            made = stack.enter_context(staging(place))
            made.mkdir(0o700)
            tempfile.tempdir = str(made)
        try:
            yield
        finally:
            tempfile.tempdir = before


def _make_locked(parent: Path, name: str) -> tuple[Path, int]:
    """Create a folder and return it with the file descriptor of its lock."""
    while True:
        folder = parent / f".{name}-{secrets.token_hex(8)}{SCRATCH}"
        folder.mkdir()
        try:
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        except FileNotFoundError:  # already removed as a leftover by another process
            continue
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        # Another process may have removed it as a leftover before it was locked.
        if _lock(lock) is not False and (folder / _LOCK).exists():
            return folder, lock
        os.close(lock)


def _remove(folder: Path) -> None:
    """Remove a staging folder; ignore errors."""
    with suppress(OSError):
        (folder / _LOCK).unlink()
        folder.rmdir()  # nearly always empty, so try this before listing it
        return
    shutil.rmtree(folder, ignore_errors=True)


def _lock(file: int) -> bool | None:
    """Lock an open file; return False if another process holds the lock, None without lock support."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def is_staging(name: str) -> bool:
    """Return whether a name is that of a staging folder."""
    return _NAME.fullmatch(name) is not None


def sweep(parent: Path, names: Iterable[str] | None = None) -> list[Path]:
    """Remove the leftovers of killed processes from a folder.

    Args:
        parent: The folder.
        names: Contents of the folder, if already known.

    Returns:
        The removed staging folders.
    """
    if names is None:
        try:
            names = os.listdir(parent)
        except OSError:
            return []
    return [parent / name for name in names if is_staging(name) and _remove_dead(parent / name)]


def _remove_dead(folder: Path) -> bool:
    """Remove a staging folder unless it is in use; return whether it was removed."""
    with suppress(OSError), _held(folder) as dead:
        if dead:
            shutil.rmtree(folder)
            return True
    return False


@contextmanager
def _held(folder: Path) -> Iterator[bool]:
    """Hold the lock of a staging folder; yield whether no other process holds it."""
    # Create the lock file if missing: its process was killed before creating it, or during removal.
    lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        yield _lock(lock) is True
    finally:
        os.close(lock)


def find_dead(folders: Iterable[Path]) -> list[Path]:
    """Return the staging folders that no process uses any more; nothing is removed."""
    dead = []
    for folder in folders:
        with suppress(OSError), _held(folder) as free:
            dead += [folder] * free
    return dead


def follow_umask(path: Path, before: Path | None = None) -> None:
    """Set default permissions on a new file, or on a folder and its contents; some libraries create private files.

    Args:
        path: Path created by `staging`.
        before: File whose permissions to copy, if it exists.
    """
    mode = path.parent.stat().st_mode & 0o777
    if path.is_dir():
        for folder, _, files in os.walk(path):
            os.chmod(folder, mode)
            for name in files:
                os.chmod(Path(folder, name), mode & 0o666)
    else:
        known = before.stat().st_mode & 0o777 if before is not None and before.exists() else mode & 0o666
        path.chmod(known)
