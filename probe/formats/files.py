"""Files to read: found in folders, named by their relative paths, with reasons for those that are skipped."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from probe.errors import CallError
from probe.formats.document import SourceFile
from probe.formats.registry import find_format

__all__ = ["SkippedFile", "find_files"]

_IGNORE_FILE = ".gitignore"
_DEEPEST = 100
_UNKNOWN = "unknown type"
_BROKEN = "broken link"


@dataclass(frozen=True)
class SkippedFile:
    """A file or folder that is not read.

    Attributes:
        name: Its path, as in `SourceFile`.
        reason: Why.
        failed: Whether it should have been read, and cannot be.
    """

    name: str
    reason: str
    failed: bool = False


@dataclass(frozen=True)
class _Folder:
    """A folder on the way, with the ignore rules that hold in it.

    Attributes:
        path: Where it is.
        name: Its path relative to the folder given; empty for that one.
        rules: Compiled ignore files with the names of their folders.
        depth: Number of folders above it.
    """

    path: Path
    name: str
    rules: tuple[tuple[str, Any], ...] = ()
    depth: int = 0


def find_files(
    paths: Sequence[Path], patterns: Sequence[str] = (), *, respect_ignore: bool = True
) -> Iterator[SourceFile | SkippedFile]:
    """Yield the files of folders in the order of their names, and what is skipped.

    Hidden files, files that `.gitignore` excludes, and data sets are skipped; links to folders are not followed.

    Args:
        paths: Files and folders.
        patterns: Patterns as in `.gitignore`; only files that match one are read. Empty: all.
        respect_ignore: Whether to read `.gitignore` files.

    Raises:
        CallError: If a path does not exist.
    """
    from pathspec import GitIgnoreSpec

    wanted = GitIgnoreSpec.from_lines(patterns) if patterns else None
    for path, prefix in zip(paths, _prefixes(paths), strict=True):
        if not path.exists():
            raise CallError(f"file '{path}' not found")
        if not path.is_dir():
            yield SourceFile(path, prefix)
            continue
        for found in _walk(_Folder(path, ""), respect_ignore=respect_ignore):
            is_file = isinstance(found, SourceFile) or found.reason.startswith(_UNKNOWN)
            if is_file and wanted is not None and not wanted.match_file(found.name):
                continue
            name = f"{prefix}/{found.name}" if prefix else found.name
            yield SourceFile(found.path, name) if isinstance(found, SourceFile) else replace(found, name=name)


def _prefixes(paths: Sequence[Path]) -> list[str]:
    """Return the name of a single file, or what to put before the names in each of several folders; no two alike."""
    if len(paths) == 1:
        return ["" if paths[0].is_dir() else paths[0].name]
    whole = [Path(os.path.abspath(path)).parts for path in paths]
    for length in range(1, max(map(len, whole)) + 1):
        names = ["/".join(parts[-length:]).lstrip("/") for parts in whole]
        if len(set(names)) == len(set(whole)):
            break
    return names


def _walk(folder: _Folder, *, respect_ignore: bool) -> Iterator[SourceFile | SkippedFile]:
    """Yield the files of a folder and the folders in it, without recursion."""
    stack = [folder]
    while stack:
        here = stack.pop()
        try:
            entries = sorted(os.scandir(here.path), key=lambda entry: entry.name)
        except OSError as error:
            yield SkippedFile(here.name or here.path.name, f"folder cannot be read ({error.strerror})", failed=True)
            continue
        rules = (*here.rules, *_read_rules(here)) if respect_ignore else ()
        inside: list[_Folder] = []
        for entry in entries:
            name = f"{here.name}/{entry.name}" if here.name else entry.name
            reason = _why_skipped(entry, name, rules)
            if reason:
                yield SkippedFile(name, reason, failed=reason == _BROKEN)
            elif not _is_folder(entry):
                yield SourceFile(Path(entry.path), name)
            elif here.depth >= _DEEPEST:
                yield SkippedFile(name, f"folder more than {_DEEPEST} levels deep")
            else:
                inside.append(_Folder(Path(entry.path), name, rules, here.depth + 1))
        stack.extend(reversed(inside))


def _why_skipped(entry: "os.DirEntry[str]", name: str, rules: Sequence[tuple[str, Any]]) -> str:
    """Return why a file or folder is skipped, or nothing."""
    if entry.name.startswith("."):
        return "hidden folder" if _is_folder(entry) else "hidden file"
    is_folder = _is_folder(entry)
    if is_folder and entry.is_symlink():
        return "link to a folder"
    if _is_ignored(f"{name}/" if is_folder else name, rules):
        return f"ignored by {_IGNORE_FILE}"
    if is_folder:
        return "data set" if (Path(entry.path) / "corpus.jsonl").exists() else ""
    if not os.path.isfile(entry.path):
        return _BROKEN if entry.is_symlink() else "not a regular file"
    return (
        "" if find_format(Path(entry.name)) is not None else f"{_UNKNOWN} {Path(entry.name).suffix.lower() or '(none)'}"
    )


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _is_ignored(name: str, rules: Sequence[tuple[str, Any]]) -> bool:
    """Return what the innermost ignore file that has a rule for a path decides."""
    for folder, spec in reversed(rules):
        ignored = spec.check_file(name[len(folder) + 1 :] if folder else name).include
        if ignored is not None:
            return bool(ignored)
    return False


def _read_rules(folder: _Folder) -> Iterator[tuple[str, Any]]:
    from pathspec import GitIgnoreSpec

    file = folder.path / _IGNORE_FILE
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines() if file.is_file() else []
        if lines:
            yield folder.name, GitIgnoreSpec.from_lines(lines)
    except (OSError, ValueError):
        return
