"""Data sets saved with `datasets.save_to_disk`: a folder of the tables corpus, queries and qrels."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from probe.data.dataset import Dataset
from probe.data.qrels import choose_split
from probe.data.tables import TableRows, open_rows, read_labels
from probe.errors import DataError, first_line
from probe.sources.assembly import IdRule, Parts, assemble

__all__ = ["SavedTable", "find_saved_tables", "read_saved_tables"]

_PARTS = ("corpus", "queries", "qrels")
_SPLITS, _ONE = "dataset_dict.json", "state.json"
_DEFAULT_SPLIT = "test"


@dataclass(frozen=True)
class SavedTable:
    """A saved table.

    Attributes:
        folder: Its folder, or that of the tables it belongs to.
        key: Its name among the tables of the folder; empty if the folder has no others.
    """

    folder: Path
    key: str = ""

    @property
    def label(self) -> str:
        """The folder's name with its parent's, and the table's name."""
        return "/".join([*self.folder.resolve().parts[-2:], *([self.key] if self.key else [])])

    def open(self) -> Any:
        """Return the table, memory-mapped.

        Raises:
            DataError: If it is missing or unreadable.
        """
        tables = _load(self.folder)
        return tables[self.key] if self.key else tables


def find_saved_tables(name: str) -> Path | None:
    """Return the folder of a data set saved with `save_to_disk`; None if a name is none."""
    folder = Path(name)
    saved = (folder / _SPLITS).is_file() or any(_is_saved(folder / part) for part in _PARTS)
    return folder if saved else None


def _is_saved(folder: Path) -> bool:
    return any((folder / file).is_file() for file in (_SPLITS, _ONE))


def read_saved_tables(folder: Path, split: str | None = None, *, drop_same_id: bool = False) -> Dataset:
    """Read a data set saved with `datasets.save_to_disk`.

    Args:
        folder: Folder of a `DatasetDict` of corpus, queries and qrels, or of three folders of these names, each a
            `Dataset` or a `DatasetDict` of splits.
        split: Split of the relevance labels; default: `test`, or the only split. Labels without splits are `test`.
        drop_same_id: Whether to drop a document with the query's own id even if its text differs.

    Raises:
        CallError: If the split does not exist.
        DataError: If a table is missing, unreadable or malformed.
    """
    tables = {part: _list_splits(folder, part) for part in _PARTS}
    chosen = choose_split(sorted(tables["qrels"]), split, str(folder))
    corpus, queries = (_open_part(folder, tables[part], chosen, part=part) for part in ("corpus", "queries"))
    labels = tables["qrels"][chosen]
    parts = Parts(corpus, queries, list(read_labels(labels.open(), labels.label)))
    return assemble(parts, folder.resolve().name, chosen, rule=IdRule(drop=drop_same_id))


def _list_splits(folder: Path, part: str) -> dict[str, SavedTable]:
    """Return the splits of a table by name; one without splits is `test`."""
    if (folder / _SPLITS).is_file():
        found = sorted(_load(folder))
        if part in found:
            return {_DEFAULT_SPLIT: SavedTable(folder, part)}
    elif (folder / part / _SPLITS).is_file():
        return {name: SavedTable(folder / part, name) for name in _load(folder / part)}
    elif (folder / part / _ONE).is_file():
        return {_DEFAULT_SPLIT: SavedTable(folder / part)}
    else:
        found = [name for name in _PARTS if _is_saved(folder / name)]
    raise DataError(f"'{folder}' has no table {part}: expected {', '.join(_PARTS)}, found {', '.join(found)}")


def _open_part(folder: Path, splits: dict[str, SavedTable], split: str, *, part: str) -> TableRows:
    if split not in splits and len(splits) > 1:
        raise DataError(f"'{folder}' has no {part} for the split '{split}': found {', '.join(splits)}")
    return open_rows(splits.get(split) or next(iter(splits.values())))


def _load(folder: Path) -> Any:
    import datasets

    try:
        return datasets.load_from_disk(str(folder), keep_in_memory=False)
    except Exception as error:  # files and parsers each raise their own types
        raise DataError(f"'{folder}' is not a readable table ({type(error).__name__}: {first_line(error)})") from error
