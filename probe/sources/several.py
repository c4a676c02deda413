"""Several data sets in one command: collections by name, a split for each, names for a table."""

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard, TypeVar

from probe.data.dataset import Dataset
from probe.data.sampling import SampleSize
from probe.errors import CallError, DataError, ProbeError, check_type, did_you_mean
from probe.sources.beir_download import beir_names
from probe.sources.loading import as_dataset, load_dataset
from probe.sources.nanobeir import nanobeir_names

__all__ = [
    "COLLECTIONS",
    "DatasetRequest",
    "GivenDatasets",
    "LoadedDataset",
    "LoadedDatasets",
    "as_datasets",
    "expand",
    "is_single",
    "load_datasets",
    "refuse_equal",
    "request_datasets",
    "tell_apart",
]

# Names that stand for several data sets.
COLLECTIONS: dict[str, Callable[[], list[str]]] = {"beir": beir_names, "nanobeir": nanobeir_names}

# A data set in any form, or several, perhaps with their names in a table.
Given = TypeVar("Given")
GivenDatasets = str | Path | Dataset | Sequence[str | Path | Dataset] | Mapping[str, str | Path | Dataset]


@dataclass(frozen=True)
class DatasetRequest:
    """A data set to load.

    Attributes:
        name: Its name or path, as given.
        split: Its split; default: `test`, or the only one.
    """

    name: str
    split: str | None = None


@dataclass(frozen=True)
class LoadedDataset:
    """A loaded data set.

    Attributes:
        label: Its name in a table.
        request: How it was asked for.
        dataset: The data set.
    """

    label: str
    request: DatasetRequest
    dataset: Dataset


@dataclass(frozen=True)
class LoadedDatasets:
    """All data sets of a command.

    Attributes:
        found: Those that were loaded.
        failed: Why others could not be, by their name as given.
        keep_going: Whether those that fail are left out.
    """

    found: tuple[LoadedDataset, ...]
    failed: dict[str, str]
    keep_going: bool = False


def request_datasets(names: Sequence[str], splits: Sequence[str] = ()) -> tuple[DatasetRequest, ...]:
    """Return the data sets to load, with collections in full.

    Args:
        names: Names or paths; `beir` stands for all that BEIR publishes, `nanobeir` for all of NanoBEIR.
        splits: A split for all, or `NAME=SPLIT` for the data set of that name, file or folder.

    Raises:
        CallError: A data set is given twice, or a split is for none or given twice.
    """
    whole = [one for name in names for one in COLLECTIONS.get(name, lambda name=name: [name])()]
    counts = Counter(os.path.realpath(name) if os.path.exists(name) else name for name in whole)
    if twice := [name for name, count in counts.items() if count > 1]:
        raise CallError(f"data set '{twice[0]}' is given twice: give it once")
    common, single = _read_splits(splits, whole)
    return tuple(DatasetRequest(name, single.get(name, common)) for name in whole)


def _read_splits(splits: Sequence[str], names: Sequence[str]) -> tuple[str | None, dict[str, str]]:
    """Return the split for all, and the splits by data set."""
    common: str | None = None
    single: dict[str, str] = {}
    for given in splits:
        name, equals, split = given.rpartition("=")
        if not split:
            raise CallError(f"--split '{given}' names no split: expected SPLIT or NAME=SPLIT")
        if not equals:
            if common is not None:
                raise CallError(f"two splits for all data sets, '{common}' and '{given}': give one, or NAME=SPLIT")
            common = given
            continue
        meant = [one for one in names if name.casefold() in (one.casefold(), _short_name(one).casefold())]
        if len(meant) != 1:
            hint = "several have that name: give its path" if meant else did_you_mean(name, [*map(_short_name, names)])
            raise CallError(f"--split '{given}': unknown data set '{name}': {hint}")
        if meant[0] in single:
            raise CallError(f"two splits for '{name}': give one")
        single[meant[0]] = split
    return common, single


def load_datasets(
    requests: Sequence[DatasetRequest], size: SampleSize | None = None, *, keep_going: bool = False
) -> LoadedDatasets:
    """Load data sets, and name them so that no two have the same name.

    Args:
        requests: The data sets.
        size: Sample of each.
        keep_going: Whether to leave out those that cannot be loaded.

    Raises:
        CallError: Two are the same.
        DataError: None can be loaded.
        ProbeError: One cannot be loaded.
    """
    loaded: list[tuple[DatasetRequest, Dataset]] = []
    failed: dict[str, str] = {}
    for request in requests:
        try:
            loaded.append((request, load_dataset(request.name, request.split, size)))
        except ProbeError as error:
            if not keep_going or len(requests) == 1:
                raise
            failed[request.name] = str(error)
    if not loaded:
        raise DataError(f"no data set can be loaded: {next(iter(failed.values()))}")
    labels = _name_apart([request.name for request, _ in loaded], [data for _, data in loaded])
    found = [LoadedDataset(label, request, data) for label, (request, data) in zip(labels, loaded, strict=True)]
    _refuse_equal_sets({one.label: one.dataset for one in found})
    return LoadedDatasets(tuple(found), failed, keep_going)


def as_datasets(given: GivenDatasets) -> dict[str, Dataset]:
    """Return data sets by their names in a table.

    Raises:
        CallError: One is of another type, two are the same, or there are none.
        DataError: One is unavailable or malformed.
    """
    if isinstance(given, Mapping):
        found = {name: as_dataset(one) for name, one in given.items()}
    else:
        check_type("dataset", given, str | Path | Dataset | Sequence, expected="a name, a path, a data set, or several")
        several = [given] if isinstance(given, str | Path | Dataset) else list(given)
        names = [one for name in several for one in expand(name)]
        loaded = [as_dataset(name) for name in names]
        found = dict(zip(_name_apart([_name_of(one) for one in names], loaded), loaded, strict=True))
    if not found:
        raise CallError("no data set is given: expected at least one")
    _refuse_equal_sets(found)
    return found


def is_single(given: GivenDatasets) -> TypeGuard[str | Path | Dataset]:
    """Return whether this is the name, the path or the value of one data set."""
    return isinstance(given, str | Path | Dataset) and not (isinstance(given, str) and given in COLLECTIONS)


def expand(given: Given) -> list[Given | str]:
    """Return the names that a collection stands for; anything else alone."""
    return [*COLLECTIONS[given]()] if isinstance(given, str) and given in COLLECTIONS else [given]


def _name_of(given: str | Path | Dataset) -> str:
    return given.name if isinstance(given, Dataset) else str(given)


def _short_name(name: str) -> str:
    """Return the last part of a path, without the suffix of an archive."""
    return name.rstrip("/").rpartition("/")[2].removesuffix(".zip")


def _name_apart(given: Sequence[str], loaded: Sequence[Dataset]) -> list[str]:
    """Return a name per data set: its own, with its folder or split where several have that name."""
    plain = [data.name for data in loaded]
    splits = [data.split for data in loaded]
    folders = [Path(path).absolute().parent.name for path in given]
    in_folders = [f"{folder}/{name}" if folder else name for folder, name in zip(folders, plain, strict=True)]
    with_splits = [
        [f"{name}:{split}" for name, split in zip(form, splits, strict=True)] for form in (plain, in_folders)
    ]
    return tell_apart([plain, in_folders, *with_splits])


def tell_apart(forms: Sequence[Sequence[str]], taken: Sequence[str] = ()) -> list[str]:
    """Return a different name per data set, the first in a longer form only where it has to be.

    Args:
        forms: The names, then longer forms of them, in the order to try.
        taken: Names that none may have. Case does not count, as columns of a table are named without regard to it.
    """
    plain = forms[0]
    counts = Counter(map(str.casefold, [*plain, *taken]))
    for form in forms:
        names = [longer if counts[name.casefold()] > 1 else name for name, longer in zip(plain, form, strict=True)]
        if len(set(map(str.casefold, [*names, *taken]))) == len(names) + len(taken):
            return names
    return [f"{name} {number}" for number, name in enumerate(plain, 1)]


def refuse_equal(hashes: Mapping[str, tuple[str, str]]) -> None:
    """Refuse data sets that would count twice.

    Args:
        hashes: The sha256 of texts and of relevance labels, by the name of the data set.

    Raises:
        CallError: Two are equal.
    """
    seen: dict[tuple[str, str], str] = {}
    for name, key in hashes.items():
        other = seen.setdefault(key, name)
        if other != name:
            raise CallError(f"'{other}' and '{name}' have the same texts and relevance labels: give one of them")


def _refuse_equal_sets(datasets: Mapping[str, Dataset]) -> None:
    if len(datasets) > 1:
        refuse_equal({name: (data.text_hash, data.qrels_hash) for name, data in datasets.items()})
