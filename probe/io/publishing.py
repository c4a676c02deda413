"""Renaming that never replaces what it should not: files and folders get their name whole, and nothing is lost."""

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
# What the kernel, or the file system, answers where it does not know a flag.
_UNKNOWN = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP)

# Of everything at and below a path: its name, and of files their size, time of change and inode.
Stamp = tuple[tuple[str, int, int, int], ...]


class TargetChanged(OSError):
    """Something appeared or changed at a path while what should go there was made."""

    def __init__(self, path: Path) -> None:
        """Name the path."""
        words = "something else was written there in the meantime; it stays as it is, so choose another name"
        super().__init__(errno.EEXIST, words, os.fspath(path))


def stamp_of(path: Path) -> Stamp | None:
    """Return what tells whether anything at or below a path was changed; None where nothing is there."""
    place = follow_link(path)
    if not os.path.lexists(place):
        return None
    inside = sorted(place.rglob("*")) if place.is_dir() else []
    return tuple(_describe(file, os.path.relpath(file, place)) for file in (place, *inside))


def follow_link(path: Path) -> Path:
    """Return where a link leads, which stays a link; any other path as it is."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def _describe(path: Path, name: str) -> tuple[str, int, int, int]:
    state = path.lstat()
    # A folder's own values change with its place on some file systems.
    known = (state.st_size, state.st_mtime_ns, state.st_ino)
    return (name, -1, 0, 0) if stat.S_ISDIR(state.st_mode) else (name, *known)


def move_new(made: Path, path: Path) -> None:
    """Rename a file or folder to a name at which nothing is.

    Raises:
        TargetChanged: Something is there.
        OSError: It cannot be renamed.
    """
    try:
        if not _rename(made, path, _NO_REPLACE):
            _move_plainly(made, path)
    except FileExistsError:
        raise TargetChanged(path) from None


def _move_plainly(made: Path, path: Path) -> None:
    """Rename without replacing, where the file system has no call for it: the name is taken first."""
    if os.name == "nt":  # replaces nothing there
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
    """Put a file or folder in the place of another, which is at `made` afterwards.

    Args:
        made: The new one.
        path: The old one.
        before: What was at `path` when it was decided that it may go.

    Raises:
        TargetChanged: It is no longer that; it stays where it is.
        OSError: They cannot be renamed; both are where they were.
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
    """Rename one after the other; whenever this is cut short, the old one is beside its place, under a name to see."""
    aside = path.with_name(f"{path.name[:100]}.replaced-{secrets.token_hex(4)}")
    path.rename(aside)
    try:
        if stamp_of(aside) != before:
            raise TargetChanged(path)
        move_new(made, path)
    except BaseException:
        with suppress(TargetChanged):  # then the old one stays where it can be seen
            move_new(aside, path)
        raise
    aside.rename(made)


def _rename(old: Path, new: Path, flag: int) -> bool:
    """Rename as Linux does with a flag; return False where nobody knows the flag.

    Raises:
        OSError: The names cannot be changed.
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
