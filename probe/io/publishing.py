"""Atomic renames that never overwrite an unexpected file or folder."""

import ctypes
import errno
import os
import secrets
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

__all__ = ["Stamp", "TargetChanged", "exchange", "follow_link", "move_new", "stamp_of"]

_HERE = -100  # AT_FDCWD
_NO_REPLACE, _EXCHANGE = 1, 2
# Errors of kernels and file systems that do not support the flag.
_UNKNOWN = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP)

# For every entry at and below a path: its name; for files also size, modification time and inode.
Stamp = tuple[tuple[str, int, int, int], ...]


class TargetChanged(OSError):
    """The target appeared or changed while its replacement was being written."""

    def __init__(self, path: Path) -> None:
        """Create the error for a path."""
        words = "another process wrote to it in the meantime; it is kept as it is, choose another name"
        super().__init__(errno.EEXIST, words, os.fspath(path))


def stamp_of(path: Path) -> Stamp | None:
    """Return a fingerprint of everything at and below a path, to detect changes; None if nothing exists."""
    place = follow_link(path)
    if not os.path.lexists(place):
        return None
    inside = sorted(place.rglob("*")) if place.is_dir() else []
    return tuple(_describe(file, os.path.relpath(file, place)) for file in (place, *inside))


def follow_link(path: Path) -> Path:
    """Return the target of a symbolic link; any other path unchanged."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def _describe(path: Path, name: str) -> tuple[str, int, int, int]:
    state = path.lstat()
    # On some file systems a folder's own values change when it is moved.
    known = (state.st_size, state.st_mtime_ns, state.st_ino)
    return (name, -1, 0, 0) if stat.S_ISDIR(state.st_mode) else (name, *known)


def move_new(made: Path, path: Path) -> None:
    """Rename a file or folder to a name that does not exist yet.

    Raises:
        TargetChanged: If the name exists.
        OSError: If it cannot be renamed.
    """
    try:
        if not _rename(made, path, _NO_REPLACE):
            _move_plainly(made, path)
    except FileExistsError:
        raise TargetChanged(path) from None


def _move_plainly(made: Path, path: Path) -> None:
    """Rename without overwriting where the file system has no call for it: reserve the name first."""
    if os.name == "nt":  # rename never overwrites on Windows
        made.rename(path)
    elif made.is_dir():
        path.mkdir()
        try:
            made.rename(path)
        except OSError as error:
            with suppress(OSError):
                path.rmdir()
            if error.errno in (errno.ENOTEMPTY, errno.ENOTDIR):
                raise TargetChanged(path) from None
            raise
    else:
        path.touch(exist_ok=False)
        try:
            made.replace(path)
        except OSError:
            path.unlink(missing_ok=True)
            raise


def exchange(made: Path, path: Path, before: Stamp) -> None:
    """Swap a file or folder with an existing one, which is at `made` afterwards.

    Args:
        made: The new file or folder.
        path: The existing one.
        before: `stamp_of(path)` at the time its replacement was approved.

    Raises:
        TargetChanged: If it has changed since; it is kept.
        OSError: If they cannot be renamed; both are unchanged.
    """
    try:
        swapped = _rename(made, path, _EXCHANGE)
    except FileNotFoundError:
        raise TargetChanged(path) from None
    if not swapped:
        _exchange_plainly(made, path, before)
    elif stamp_of(made) != before:
        _rename(made, path, _EXCHANGE)
        raise TargetChanged(path)


def _exchange_plainly(made: Path, path: Path, before: Stamp) -> None:
    """Rename one after the other; if interrupted, the old one remains beside its place under a visible name."""
    aside = path.with_name(f"{path.name[:100]}.replaced-{secrets.token_hex(4)}")
    path.rename(aside)
    try:
        if stamp_of(aside) != before:
            raise TargetChanged(path)
        move_new(made, path)
    except BaseException:
        with suppress(TargetChanged):  # then the old one remains under its visible name
            move_new(aside, path)
        raise
    aside.rename(made)


def _rename(old: Path, new: Path, flag: int) -> bool:
    """Rename with a flag of Linux's renameat2; return False if the flag is not supported.

    Raises:
        OSError: If renaming fails.
    """
    call = _find_call()
    if call is None:
        return False
    if call(_HERE, os.fsencode(old), _HERE, os.fsencode(new), flag) == 0:
        return True
    number = ctypes.get_errno()
    if number in _UNKNOWN:
        return False
    raise OSError(number, os.strerror(number), os.fspath(new))


def _find_call() -> Callable[..., int] | None:
    try:
        call = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError, TypeError):
        return None
    call.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint]
    return call
