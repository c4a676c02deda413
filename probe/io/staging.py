"""Folders of work in progress: hidden, locked while in use; the next writer removes those whose process is gone."""

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
except ImportError:  # Windows: nothing can be said of another process, so nothing of its is removed
    fcntl = None  # type: ignore[assignment]

__all__ = ["MADE", "SCRATCH", "find_dead", "follow_umask", "is_staging", "scratch_files", "staging", "sweep"]

# Ends the name of what is still being written.
SCRATCH = ".part"

# In a staging folder: what is made, and the file that its process holds a lock on.
MADE, _LOCK = "made", "lock"
_NAME = re.compile(r"\..*-[0-9a-f]{16}\.part", re.DOTALL)
# Bytes of the target's name in that of its staging folder: file systems take 255, and a name may be all of them.
_LONGEST = 100


@contextmanager
def staging(beside: Path) -> Iterator[Path]:
    """Make a hidden folder beside a path, locked as long as this process needs it; it is gone afterwards.

    Args:
        beside: What is to be made; its folder is there.

    Yields:
        A path in the new folder, at which nothing is yet.

    Raises:
        OSError: The folder cannot be made.
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
    """Have temporary files made in a folder of this process, gone afterwards; those of killed processes go first.

    Where no such folder can be made, whoever needs one says so.
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
    """Return a new folder, and the open file that marks it as in use."""
    while True:
        folder = parent / f".{name}-{secrets.token_hex(8)}{SCRATCH}"
        folder.mkdir()
        try:
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        except FileNotFoundError:  # taken for a dead one's already
            continue
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        # Another process may have found it before it was locked, and taken it for a dead one's.
        if _lock(lock) is not False and (folder / _LOCK).exists():
            return folder, lock
        os.close(lock)


def _remove(folder: Path) -> None:
    """Remove a staging folder, as far as the system lets it."""
    with suppress(OSError):
        (folder / _LOCK).unlink()
        folder.rmdir()  # nearly always empty by now, and not worth a listing
        return
    shutil.rmtree(folder, ignore_errors=True)


def _lock(file: int) -> bool | None:
    """Lock an open file; return False where another process has it locked, None where nobody can lock."""
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
    """Whether a name is that of a staging folder."""
    return _NAME.fullmatch(name) is not None


def sweep(parent: Path, names: Iterable[str] | None = None) -> list[Path]:
    """Remove what processes that are gone left behind in a folder.

    Args:
        parent: The folder.
        names: What is in it, where that is known.

    Returns:
        The staging folders that were removed.
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
    """Hold the lock of a staging folder, and say whether nobody else does."""
    # Made where it is missing: its process was killed before it made it, or a removal after it was gone.
    lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        yield _lock(lock) is True
    finally:
        os.close(lock)


def find_dead(folders: Iterable[Path]) -> list[Path]:
    """Return those of some staging folders that no process uses any more; nothing is removed."""
    dead = []
    for folder in folders:
        with suppress(OSError), _held(folder) as free:
            dead += [folder] * free
    return dead


def follow_umask(path: Path, before: Path | None = None) -> None:
    """Give a new file, or a folder with all in it, the permissions of any new file; libraries make some private.

    Args:
        path: What was made, in a folder that `staging` made.
        before: A file whose permissions it takes over, where that is there.
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
