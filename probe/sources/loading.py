"""Loading of data sets by name or path."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from probe.data.dataset import DEFAULT_DATASET, Dataset
from probe.data.sampling import SampleSize, sample
from probe.errors import CallError, DataError, check_type, did_you_mean
from probe.io.locations import is_url
from probe.sources.beir import read_beir
from probe.sources.beir_download import beir_names, download_beir
from probe.sources.captioned_images import find_image_folder, read_image_folder
from probe.sources.docstrings import read_docstrings
from probe.sources.hub import HUB, read_hub
from probe.sources.irds import IRDS, read_irds
from probe.sources.mteb_tasks import MTEB, read_task
from probe.sources.nanobeir import find_nano, nano_address, nanobeir_names
from probe.sources.saved_tables import find_saved_tables, read_saved_tables

__all__ = ["as_dataset", "find_beir", "is_address", "load_dataset"]

_READERS: dict[str, Callable[..., Dataset]] = {
    HUB: read_hub,
    MTEB: read_task,
    **dict.fromkeys(IRDS, read_irds),
}


def load_dataset(
    name: str | Path, split: str | None = None, limit: int | SampleSize | None = None, *, drop_same_id: bool = False
) -> Dataset:
    """Load a data set by name or path.

    Args:
        name: `docstrings`; a BEIR or NanoBEIR name; a BEIR folder, its URL, or a zip of one; a folder of images with
            captions (`DIR:captions` to search the captions instead of the images); a folder of tables saved by
            `datasets`; or an address that begins with `hf:`, `mteb:` or `ir_datasets:`.
        split: Split of the relevance labels; default: `test`, or the only split.
        limit: Keep about this many documents, or a sample of documents and queries; see `SampleSize`. All judged
            documents of the queries kept are kept, and queries are left out only if these exceed the limit.
        drop_same_id: Drop a document with the query's own id even if its text differs, as BEIR does; by default only
            if it equals the query. BEIR's published data sets always use BEIR's rule.

    Returns:
        The data set.

    Raises:
        CallError: If the data set or split does not exist.
        DataError: If its files are malformed or cannot be downloaded.
    """
    check_type("dataset", name, str | Path, expected="a name, a folder or a zip")
    name = str(name)
    dataset = _load(name, split, drop_same_id=drop_same_id)
    if not dataset.qrels:
        raise DataError(f"'{name}' has no queries with relevance labels in split '{dataset.split}'; nothing to score")
    if not len(dataset.documents):
        raise DataError(f"'{name}' has no documents: nothing to search")
    if limit is None:
        return dataset
    return sample(dataset, SampleSize(limit) if isinstance(limit, int) else limit)


def as_dataset(dataset: str | Path | Dataset) -> Dataset:
    """Return a data set, loading it if given by name or path.

    Raises:
        CallError: If it is of another type, or does not exist.
        DataError: If it is unavailable or malformed.
    """
    if isinstance(dataset, Dataset):
        return dataset
    check_type("dataset", dataset, str | Path, expected="a name, a folder, a zip or a loaded data set")
    return load_dataset(dataset)


def _load(name: str, split: str | None, *, drop_same_id: bool) -> Dataset:
    prefix = next((prefix for prefix in _READERS if name.startswith(prefix)), None)
    if prefix is not None:
        return _READERS[prefix](name.removeprefix(prefix), split, drop_same_id=drop_same_id)
    found = _read_local(name, split, drop_same_id=drop_same_id)
    if found is not None:
        return found
    if name == DEFAULT_DATASET:
        return replace(read_docstrings(split), drop_same_id=drop_same_id)
    nano = find_nano(name)
    if nano is not None:
        return read_hub(nano_address(nano), split, name=nano, drop_same_id=drop_same_id)
    return read_beir(_fetch(name), split, name=name, drop_same_id=True)


def _read_local(name: str, split: str | None, *, drop_same_id: bool) -> Dataset | None:
    """Return the data set in a file or folder, or at a URL; None if the name is neither."""
    images = find_image_folder(name)
    if images is not None:
        return replace(read_image_folder(images, split), drop_same_id=drop_same_id)
    tables = find_saved_tables(name)
    if tables is not None:
        return read_saved_tables(tables, split, drop_same_id=drop_same_id)
    if os.path.exists(name) or is_url(name):
        return read_beir(name, split, drop_same_id=drop_same_id)
    return None


def is_address(name: str) -> bool:
    """Return whether a name is the address of a data set: a URL, or begins with `hf:` and the like."""
    return is_url(name) or name.startswith(tuple(_READERS))


def find_beir(name: str) -> str | None:
    """Return the path or URL of a data set in BEIR's format, downloaded if it is one of BEIR's; None for all others.

    Raises:
        DataError: If it cannot be downloaded.
    """
    if find_image_folder(name) is not None or find_saved_tables(name) is not None:
        return None
    if os.path.exists(name) or is_url(name):
        return name
    return str(download_beir(name)) if name in beir_names() else None


def _fetch(name: str) -> str:
    if name in beir_names():
        return str(download_beir(name))
    if os.sep in name or name.endswith(".zip") or name.startswith("."):
        raise CallError(f"no data set at '{name}': expected a BEIR folder, a zip of one, or a name")
    known = [DEFAULT_DATASET, *beir_names(), *nanobeir_names()]
    raise CallError(f"unknown data set '{name}': {did_you_mean(name, known)}")
