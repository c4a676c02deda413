"""Reader of BEIR data sets from a folder, a zip or a URL; errors give the file and line."""

import os
import zipfile
from pathlib import Path
from typing import Any

from probe.data.dataset import Dataset, Defects
from probe.data.qrels import choose_split, find_qrels, is_hidden, list_splits, read_judgements
from probe.data.records import JsonLines, Records, open_parquet
from probe.errors import CallError, DataError, first_line
from probe.io.locations import is_url, locate
from probe.io.remote_path import RemotePath
from probe.io.text_lines import UNREADABLE
from probe.sources.assembly import IdRule, Parts, assemble

__all__ = ["CAPTION_FILES", "find_records", "find_root", "list_files", "read_beir"]


def read_beir(path: str, split: str | None = None, name: str | None = None, *, drop_same_id: bool = False) -> Dataset:
    """Read a data set in BEIR's format.

    Args:
        path: Folder with `corpus.jsonl`, `queries.jsonl` and `qrels/SPLIT.tsv`, a zip of such a folder, or the URL of
            one; see `find_records` for other forms of corpus and queries, `read_judgements` for those of qrels.
        split: Split of the relevance labels; default: `test`, or the only split.
        name: Name of the data set; default: the folder's or archive's name.
        drop_same_id: Whether to drop a document with the query's own id even if its text differs. Always done for
            BEIR's published data sets (recognized by name and document count), as their published scores do it.

    Returns:
        The data set.

    Raises:
        CallError: If the split does not exist or the path is not a data set.
        DataError: If a file is malformed.
    """
    root = find_root(path)
    chosen = choose_split(list_splits(root), split, path)
    defects = Defects()
    judgements = list(read_judgements(find_qrels(root, chosen, defects), defects))
    parts = Parts(find_records(root, "corpus"), find_records(root, "queries"), judgements, defects)
    return assemble(parts, name or _name_of(path), chosen, rule=IdRule(drop=drop_same_id))


def _name_of(path: str) -> str:
    folder = locate(path) if is_url(path) else Path(path.rstrip("/")).resolve()
    return folder.name.removesuffix(".zip")


_FILES = ("{}.jsonl", "{}.jsonl.gz", "{}.parquet")
_PARQUET = ".parquet"
# Metadata files of an image folder; the second name is Hugging Face's.
CAPTION_FILES = ("captions.jsonl", "metadata.jsonl")


class ZipFolder(zipfile.Path):
    """A folder in a zip that can be pickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return ZipFolder, (self.root.filename, self.at)


def find_root(path: str) -> Any:
    """Return the folder that holds the corpus: the given folder, zip or URL, or its only subfolder.

    Raises:
        CallError: If the path is not a data set.
        DataError: If the path is unreachable or a damaged zip.
    """
    root = _open_root(path)
    try:
        return _find_corpus(root, path)
    except UNREADABLE as error:
        raise DataError(f"'{path}' is unreachable: {first_line(error)}") from error


def _find_corpus(root: Any, path: str) -> Any:
    if isinstance(root, RemotePath) and not root.is_dir():
        raise CallError(f"no data set at '{path}': expected a readable, uncompressed folder")
    if list_files(root, "corpus"):
        return root
    inner = (
        []
        if isinstance(root, RemotePath)
        else [child for child in root.iterdir() if child.is_dir() and not is_hidden(child)]
    )
    holding = [child for child in inner if list_files(child, "corpus")]
    if len(holding) == 1:
        return holding[0]
    if holding:
        found = ", ".join(sorted(child.name for child in holding))
        raise CallError(f"'{path}' contains several data sets ({found}): unzip it and choose one folder")
    hint = f"; to convert your own documents: `probe data build {path} --out DIR`" if os.path.isdir(path) else ""
    if any((folder / name).exists() for folder in (root, *inner) for name in CAPTION_FILES):
        hint = "; for images with captions, use the captions' own folder, unzipped and local"
    raise CallError(f"'{path}' is not a BEIR data set: it has no corpus.jsonl or corpus.parquet{hint}")


def _open_root(path: str) -> Any:
    if is_url(path) and not os.path.exists(path):
        found = locate(path)
        if isinstance(found, RemotePath):
            return found
        path = str(found)
    if os.path.isdir(path):
        return Path(path)
    if not os.path.exists(path):
        raise CallError(f"no data set at '{path}': expected a BEIR folder or a zip of one")
    if not zipfile.is_zipfile(path) and path.lower().endswith(".zip"):
        raise DataError(f"'{path}' is not a readable zip: damaged, truncated or another format")
    if not zipfile.is_zipfile(path):
        raise CallError(
            f"'{path}' is neither a BEIR folder nor a zip of one; to convert your own documents: "
            f"`probe data build {path} --out DIR`"
        )
    return ZipFolder(path)


def find_records(root: Any, kind: str) -> Records:
    """Return the records of the corpus or the queries.

    Args:
        root: Folder of the data set.
        kind: `corpus` or `queries`.

    Returns:
        Those of the first existing one of `KIND.jsonl`, `KIND.jsonl.gz`, `KIND.parquet` and `KIND/*.parquet`; if none
        exists, those of the first, which raises when read.

    Raises:
        DataError: If a Parquet file is unreadable or lacks columns.
    """
    try:
        files = list_files(root, kind)
    except UNREADABLE as error:
        raise DataError(f"{root} is unreachable: {first_line(error)}") from error
    if files and files[0].name.endswith(_PARQUET):
        return open_parquet(files)
    return JsonLines(files[0] if files else root / f"{kind}.jsonl")


def list_files(root: Any, kind: str) -> list[Any]:
    """Return the files of `corpus` or `queries`: a single file, or the Parquet files of a folder sorted by name."""
    names = {child.name for child in root.iterdir()}
    for name in (form.format(kind) for form in _FILES):
        if name in names:
            return [root / name]
    folder = root / kind
    if kind not in names or not folder.is_dir():
        return []
    files = (file for file in folder.iterdir() if file.name.endswith(_PARQUET) and not is_hidden(file))
    return sorted(files, key=lambda file: file.name)
