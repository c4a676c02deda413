"""Tables of the `datasets` library as documents, queries and relevance labels: memory-mapped, never held in memory."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from probe.data.qrels import Judgement, find_fields, judge
from probe.data.records import Entry, check_record
from probe.errors import DataError, first_line
from probe.io.text_lines import START, UNREADABLE, Mark

__all__ = ["TableRows", "TableSource", "commit_of", "is_commit", "open_rows", "read_labels"]

_IDS = ("_id", "id")
_TITLE, _TEXT = "title", "text"
_ROWS_AT_ONCE = 1024
_LABELS = ("query-id", "corpus-id", "score")
# A table without grades lists the relevant documents, as NanoBEIR's do.
_LISTED = 1
_COMMIT = re.compile(r"[0-9a-f]{40}")


class TableSource(Protocol):
    """Where a table comes from; it can be pickled, and opened again in another process."""

    @property
    def label(self) -> str:
        """Name for messages."""

    def open(self) -> Any:
        """Return the table, a `datasets.Dataset`."""


@dataclass(frozen=True)
class TableRows:
    """The rows of a table as records; a pickled copy opens the table itself.

    Attributes:
        source: The table's source.
        key: Name of the column of ids.
        columns: Names of the columns that are read.
    """

    source: TableSource
    key: str
    columns: tuple[str, ...]

    @property
    def name(self) -> str:
        """The source's name."""
        return self.source.label

    def entries(self, start: Mark = START) -> Iterator[Entry]:
        """Yield the records from a row on.

        Raises:
            DataError: If the table is unreadable or a row is malformed.
        """
        for number, row in _rows(self._table, self.columns, start.offset, label=self.name):
            location = f"{self.name}:row {number + 1}"
            record = {"_id": row[self.key], "title": row.get(_TITLE), "text": row[_TEXT]}
            yield Entry(location, Mark(number, number), check_record(record, location, str(row)))

    @cached_property
    def _table(self) -> Any:
        return self.source.open()

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the open table, whose files another machine may not have."""
        return {"source": self.source, "key": self.key, "columns": self.columns}


def open_rows(source: TableSource, table: Any = None) -> TableRows:
    """Return the rows of a table of documents or queries.

    Args:
        source: The table's source.
        table: The table if it is open already.

    Raises:
        DataError: If the table has no column of ids or texts.
    """
    table = source.open() if table is None else table
    key = next((name for name in _IDS if name in table.column_names), None)
    if key is None or _TEXT not in table.column_names:
        raise DataError(
            f"{source.label}: expected the columns _id (or id), text and optionally title, "
            f"found {', '.join(table.column_names) or 'none'}"
        )
    title = (_TITLE,) if _TITLE in table.column_names else ()
    rows = TableRows(source, key, (key, *title, _TEXT))
    rows.__dict__["_table"] = table
    return rows


def read_labels(table: Any, label: str) -> Iterator[Judgement]:
    """Yield the relevance labels of a table; without a column of grades, every row lists a relevant document.

    Args:
        table: A `datasets.Dataset` with query-id, corpus-id and optionally score.
        label: Its name for messages.

    Raises:
        DataError: If a column is missing or a row is malformed.
    """
    query, document, grade = find_fields(table.column_names)
    if query is None or document is None:
        raise DataError(
            f"{label}: expected the columns query-id, corpus-id and score, found {', '.join(table.column_names)}"
        )
    names = [table.column_names[column] for column in (query, document, grade) if column is not None]
    for number, row in _rows(table, names, 0, label=label):
        values = [*(row[name] for name in names), *([] if grade is not None else [_LISTED])]
        yield judge(f"{label}:row {number + 1}", values, _LABELS)


def commit_of(table: Any) -> str:
    """Return the commit that a downloaded table is from, by its folder in the cache; empty for any other table."""
    folder = Path(table.cache_files[0]["filename"]).parent.name if table.cache_files else ""
    return folder if is_commit(folder) else ""


def is_commit(revision: str) -> bool:
    """Return whether a revision is a commit, not a branch or a tag."""
    return _COMMIT.fullmatch(revision) is not None


def _rows(table: Any, columns: Sequence[str], first: int, *, label: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield number and values of the rows from `first` on."""
    from pyarrow.lib import ArrowException

    view = table.select_columns(list(columns)).with_format("arrow")
    for start in range(first, len(view), _ROWS_AT_ONCE):
        try:
            batch = view[start : start + _ROWS_AT_ONCE].to_pylist()
        except (ArrowException, UnicodeDecodeError, *UNREADABLE) as error:
            raise DataError(f"{label}: not readable from row {start + 1} on ({first_line(error)})") from error
        yield from enumerate(batch, start)
