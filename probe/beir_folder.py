"""Where the files of a BEIR data set are: in a folder, in a zip, at a URL; as JSON lines or as Parquet."""

import os
import zipfile
from pathlib import Path
from typing import Any

from probe.beir_records import JsonLines, Records
from probe.errors import CallError, DataError, first_line
from probe.locations import is_url, locate
from probe.parquet_records import open_parquet
from probe.remote import RemotePath
from probe.text_lines import UNREADABLE

__all__ = ["CAPTION_FILES", "find_records", "find_root", "list_files"]

_FILES = ("{}.jsonl", "{}.jsonl.gz", "{}.parquet")
_PARQUET = ".parquet"
# Of a folder of images; the second is Hugging Face's name.
CAPTION_FILES = ("captions.jsonl", "metadata.jsonl")


class ZipFolder(zipfile.Path):
    """A folder in a zip that other processes can be given."""

    def __reduce__(self) -> tuple[Any, ...]:
        return ZipFolder, (self.root.filename, self.at)


def find_root(path: str) -> Any:
    """Return the folder that holds a data set's corpus: the one named, or the one folder in it.

    Args:
        path: A folder, a zip, or the URL of a folder.

    Returns:
        The folder, as a `pathlib`, `zipfile` or remote path.

    Raises:
        CallError: The path is no data set.
        DataError: It cannot be reached, or is a damaged zip.
    """
    root = _open_root(path)
    try:
        return _find_corpus(root, path)
    except UNREADABLE as error:
        raise DataError(f"'{path}' cannot be reached: {first_line(error)}") from error


def _find_corpus(root: Any, path: str) -> Any:
    if isinstance(root, RemotePath) and not root.is_dir():
        raise CallError(f"there is no data set at '{path}': expected a folder there, not packed, that you may read")
    if list_files(root, "corpus"):
        return root
    inner = [] if isinstance(root, RemotePath) else [child for child in root.iterdir() if child.is_dir()]
    holding = [child for child in inner if list_files(child, "corpus")]
    if len(holding) == 1:
        return holding[0]
    if holding:
        found = ", ".join(sorted(child.name for child in holding))
        raise CallError(f"'{path}' holds several data sets ({found}): unpack it and name one folder")
    hint = f"; own documents become one with `probe data build {path} --out DIR`" if os.path.isdir(path) else ""
    if any((place / name).exists() for place in (root, *inner) for name in CAPTION_FILES):
        hint = "; images with captions are read from the captions' own folder, unpacked, on this machine"
    raise CallError(f"'{path}' is no BEIR data set: it holds no corpus.jsonl, nor corpus.parquet{hint}")


def _open_root(path: str) -> Any:
    if is_url(path) and not os.path.exists(path):
        place = locate(path)
        return place if isinstance(place, RemotePath) else _open_local(str(place))
    return _open_local(path)


def _open_local(path: str) -> Any:
    if os.path.isdir(path):
        return Path(path)
    if not os.path.exists(path):
        raise CallError(f"there is no data set at '{path}': expected a BEIR folder, or a zip of one")
    if not zipfile.is_zipfile(path) and path.lower().endswith(".zip"):
        raise DataError(f"'{path}' is no zip that can be read: it is damaged, cut short or something else")
    if not zipfile.is_zipfile(path):
        raise CallError(
            f"'{path}' is neither a BEIR folder nor a zip of one; own documents become one with "
            f"`probe data build {path} --out DIR`"
        )
    return ZipFolder(path)


def find_records(root: Any, kind: str) -> Records:
    """Return the records of a data set's corpus or queries.

    Args:
        root: The data set's folder.
        kind: `corpus` or `queries`.

    Returns:
        Those of the first there is of `KIND.jsonl`, `KIND.jsonl.gz`, `KIND.parquet` and `KIND/*.parquet`; the first
        of these where there is none, which says so when it is read.

    Raises:
        DataError: A Parquet file cannot be read, or has not the columns.
    """
    try:
        files = list_files(root, kind)
    except UNREADABLE as error:
        raise DataError(f"{root} cannot be reached: {first_line(error)}") from error
    if files and files[0].name.endswith(_PARQUET):
        return open_parquet(files)
    return JsonLines(files[0] if files else root / f"{kind}.jsonl")


def list_files(root: Any, kind: str) -> list[Any]:
    """Return the files there are of a kind.

    Args:
        root: The data set's folder.
        kind: `corpus` or `queries`.

    Returns:
        One file, or the Parquet files of a folder by name; none where there is none.
    """
    names = {child.name for child in root.iterdir()}
    for name in (form.format(kind) for form in _FILES):
        if name in names:
            return [root / name]
    folder = root / kind
    if kind not in names or not folder.is_dir():
        return []
    return sorted((file for file in folder.iterdir() if file.name.endswith(_PARQUET)), key=lambda file: file.name)
