"""Data sets of the Hugging Face hub in mteb's form: tables `corpus`, `queries` and relevance labels, with splits."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from probe.data.dataset import Dataset
from probe.data.qrels import choose_split
from probe.data.tables import TableRows, commit_of, is_commit, open_rows, read_labels
from probe.errors import CallError, DataError, first_line
from probe.sources.assembly import IdRule, Parts, assemble, name_splits
from probe.sources.nanobeir import is_nano

__all__ = ["HUB", "HubAddress", "HubTable", "load_table", "parse_address", "read_hub"]

HUB = "hf:"

# mteb's order.
_LABEL_TABLES = ("default", "qrels")
_EXPECTED = "expected hf:OWNER/NAME, hf:OWNER/NAME@REVISION, either with /SUBSET behind it, or hf:./FOLDER"
_REMOTE = re.compile(
    r"(?P<path>[\w.-]+/[\w.-]+)(?:@(?P<revision>refs/(?:convert|pr)/[^/@]+|[^/@]+))?(?:/(?P<subset>[^@]+))?"
)
# The library has no type for a table that does not exist; the second message is about its cache.
_UNKNOWN = re.compile(r"BuilderConfig '.*' not found. Available: (?P<found>.*)|Couldn't find cache for ")


@dataclass(frozen=True)
class HubAddress:
    """The address of a data set.

    Attributes:
        path: `OWNER/NAME`, or a local folder in the hub's layout.
        revision: Commit, branch or tag; None for the newest one.
        subset: Prefix of the tables, such as a language; empty if they have none.
    """

    path: str
    revision: str | None = None
    subset: str = ""

    @property
    def is_folder(self) -> bool:
        """Whether the address is that of a local folder."""
        return self.path.startswith((".", "/", "~"))

    @property
    def name(self) -> str:
        """Short name: that of the repository or folder, and the subset."""
        own = Path(self.path).expanduser().resolve().name if self.is_folder else self.path.rpartition("/")[2]
        return f"{own}/{self.subset}" if self.subset else own

    def __str__(self) -> str:
        """Return the address as it is typed."""
        revision = f"@{self.revision}" if self.revision else ""
        return f"{HUB}{self.path}{revision}{f'/{self.subset}' if self.subset else ''}"


@dataclass(frozen=True)
class HubTable:
    """One split of a table.

    Attributes:
        address: The data set.
        table: Name of the table, with its subset.
        split: Name of the split.
    """

    address: HubAddress
    table: str
    split: str

    @property
    def label(self) -> str:
        """Repository, table and split."""
        return f"{self.address.name} {self.table} ({self.split})"

    def open(self) -> Any:
        """Return the split, memory-mapped.

        Raises:
            DataError: If it is neither cached nor can be downloaded.
        """
        return load_table(self.address, self.table)[self.split]


def parse_address(text: str) -> HubAddress:
    """Return the address of a data set, given without its prefix.

    Raises:
        CallError: If it is not an address, or a folder that does not exist.
    """
    if text.startswith((".", "/", "~")):
        return _parse_folder(text)
    found = _REMOTE.fullmatch(text)
    if found is None:
        raise CallError(f"'{HUB}{text}' is not an address of the hub: {_EXPECTED}")
    if Path(found["path"]).is_dir():
        raise CallError(f"'{HUB}{text}' is also a folder here: write {HUB}./{text} for it, or run in another folder")
    return HubAddress(found["path"], found["revision"], found["subset"] or "")


def _parse_folder(text: str) -> HubAddress:
    folder = Path(text).expanduser()
    if folder.is_dir():
        return HubAddress(text)
    if folder.parent.is_dir() and (folder.parent / "README.md").is_file():
        return HubAddress(text.rstrip("/").rpartition("/")[0], subset=folder.name)
    raise CallError(f"no folder at '{text}': {_EXPECTED}")


def read_hub(text: str, split: str | None = None, *, name: str = "", drop_same_id: bool = False) -> Dataset:
    """Read a data set from the hub, its cache, or a local folder in the hub's layout.

    Args:
        text: Its address without prefix: `OWNER/NAME[@REVISION][/SUBSET]`, or a path that begins with a dot or slash.
        split: Split of the relevance labels; default: `test`, or the only split.
        name: Name of the data set; default: the address's.
        drop_same_id: Whether to drop a document with the query's own id even if its text differs.

    Returns:
        The data set. NanoBEIR's keep all documents, as their published scores do.

    Raises:
        CallError: If the data set, the subset or the split does not exist.
        DataError: If it cannot be downloaded, or a table lacks columns or is malformed.
    """
    address, corpus, table = _find_corpus(parse_address(text))
    labels, judged = _find_labels(address)
    nano = not address.is_folder and is_nano(*address.path.split("/"))
    shown = name_splits(list(judged), evaluation=nano)
    chosen = choose_split(list(shown), split, name or str(address))
    own = shown[chosen]
    # Workers and later passes read the commit that was read first.
    address = replace(address, revision=commit_of(judged[own]) or address.revision)
    queries = _table_name(address, "queries")
    parts = Parts(
        _open_split(address, table, corpus, split=own),
        _open_split(address, queries, load_table(address, queries), split=own),
        list(read_labels(judged[own], HubTable(address, labels, own).label)),
    )
    rule = IdRule(drop=drop_same_id, keep=nano)
    return assemble(parts, name or address.name, chosen, rule=rule, source=str(address))


def _open_split(address: HubAddress, table: str, splits: Any, *, split: str) -> TableRows:
    """Return the documents or queries of a split of the labels."""
    source = HubTable(address, table, _match_split(address, table, list(splits), split=split))
    return open_rows(source, splits[source.split])


def _table_name(address: HubAddress, part: str) -> str:
    return f"{address.subset}-{part}" if address.subset else part


def _find_corpus(address: HubAddress) -> tuple[HubAddress, Any, str]:
    """Return the address with its only subset if it names none, and the splits and name of the corpus's table."""
    table = _table_name(address, "corpus")
    try:
        return address, _load(address, table), table
    except _UnknownTableError as error:
        unknown = error
    subsets = [part.removesuffix("-corpus") for part in unknown.found if part.endswith("-corpus")]
    if len(subsets) == 1 and not address.subset:
        only = replace(address, subset=subsets[0])
        table = _table_name(only, "corpus")
        return only, load_table(only, table), table
    if subsets:
        way = f"{replace(address, subset=subsets[0])}"
        raise CallError(f"'{address}' has the subsets {', '.join(subsets)}: expected one of them, as in {way}")
    expected = f"expected the tables {table}, {_table_name(address, 'queries')} and qrels or default"
    raise unknown.explain(f"'{address}' is not a retrieval data set in mteb's form: {expected}")


def _find_labels(address: HubAddress) -> tuple[str, Any]:
    """Return the name of the table of relevance labels, and its splits."""
    names = [_table_name(address, "qrels")] if address.subset else list(_LABEL_TABLES)
    for table in names:
        try:
            return table, _load(address, table)
        except _UnknownTableError as error:
            unknown = error
    raise unknown.explain(f"'{address}' has no relevance labels: expected the table {' or '.join(names)}")


def _match_split(address: HubAddress, table: str, splits: Sequence[str], *, split: str) -> str:
    """Return the split of documents or queries that belongs to a split of the labels: the same, or the only one."""
    if split in splits or len(splits) == 1:
        return split if split in splits else splits[0]
    raise DataError(f"'{address}' has no {table} for the split '{split}': found {', '.join(splits)}")


class _UnknownTableError(Exception):
    """A data set, or its copy in the cache, has no table of a name."""

    def __init__(self, found: Sequence[str], lacking: str = "") -> None:
        """Give the tables that were found; `lacking` is the message if only the cache could be asked."""
        super().__init__(lacking)
        self.found, self._lacking = found, lacking

    def explain(self, message: str) -> DataError:
        """Return the error for users, with a message on the table that the data set lacks."""
        return DataError(self._lacking or f"{message}, found {', '.join(self.found)}")


def load_table(address: HubAddress, table: str) -> Any:
    """Return the splits of a table, memory-mapped, as a `datasets.DatasetDict`.

    Raises:
        CallError: If the hub has no such data set or revision.
        DataError: If the table does not exist, or is neither cached nor can be downloaded.
    """
    try:
        return _load(address, table)
    except _UnknownTableError as error:
        raise error.explain(f"'{address}' has no table {table}: expected it beside the corpus") from error


def _load(address: HubAddress, table: str) -> Any:
    import datasets
    from datasets.exceptions import DatasetNotFoundError

    path = str(Path(address.path).expanduser()) if address.is_folder else address.path
    try:
        found = datasets.load_dataset(path, table, revision=address.revision, keep_in_memory=False)
    except DatasetNotFoundError as error:
        raise CallError(f"'{address}' is not on the hub, or needs a login: {first_line(error)}") from error
    except ConnectionError as error:
        raise DataError(f"{_not_here(address)}: {first_line(error)}") from error
    except Exception as error:  # network, files and parsers each raise their own types
        raise _explain(error, address) from error
    _check_commit(address, found)
    return found


def _explain(error: Exception, address: HubAddress) -> Exception:
    """Return what an error of the library means."""
    unknown = _UNKNOWN.match(str(error)) if isinstance(error, ValueError) else None
    if unknown is None:
        return DataError(f"'{address}' cannot be read ({type(error).__name__}: {first_line(error)})")
    found = re.findall(r"'([^']+)'", unknown["found"] or "")
    return _UnknownTableError(found, "" if unknown["found"] else f"{_not_here(address)}: {first_line(error)}")


def _not_here(address: HubAddress) -> str:
    return f"'{address}' is not complete in the cache, and the hub is unreachable"


def _check_commit(address: HubAddress, splits: Any) -> None:
    """Refuse a cached copy of another revision, which the library takes if the hub is unreachable."""
    wanted = _wanted_commit(address)
    found = next((commit for commit in map(commit_of, splits.values()) if commit not in ("", wanted)), "")
    if wanted and found:
        raise DataError(f"{_not_here(address)}: the newest copy in the cache is {replace(address, revision=found)}")


def _wanted_commit(address: HubAddress) -> str:
    """Return the commit that an address stands for, as far as it is known without the hub."""
    if address.is_folder or is_commit(address.revision or ""):
        return "" if address.is_folder else str(address.revision)
    from huggingface_hub import try_to_load_from_cache

    readme = try_to_load_from_cache(address.path, "README.md", repo_type="dataset", revision=address.revision)
    return Path(readme).parent.name if isinstance(readme, str) else ""
