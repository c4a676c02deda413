"""The records of Parquet files, read row group by row group."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

from probe.data.records import Entry, check_record
from probe.errors import DataError, first_line
from probe.io.text_lines import START, UNREADABLE, Mark, label

__all__ = ["ParquetRows", "open_parquet"]

_NEEDED = ("_id", "text")
_COLUMNS = ("_id", "title", "text", "metadata")
_ROWS_AT_ONCE = 1024

# Read of a column at once; otherwise all that a row group has of it is.
_BUFFER = 1 << 22


@dataclass(frozen=True)
class ParquetRows:
    """The records of Parquet files, one file after the other.

    Attributes:
        files: The files, as `pathlib`, `zipfile` or remote paths.
        groups: Per file, the rows of each row group.
    """

    files: tuple[Any, ...]
    groups: tuple[tuple[int, ...], ...]

    @property
    def name(self) -> str:
        """The first file's name with its folder's, and how many there are beside it."""
        more = len(self.files) - 1
        return f"{label(self.files[0])}{f' (with {more} more)' if more else ''}"

    def entries(self, start: Mark = START) -> Iterator[Entry]:
        """Yield the records from a mark on; row groups before it are not read.

        Raises:
            DataError: A file cannot be read, or a row is malformed.
        """
        before = 0
        for path, groups in zip(self.files, self.groups, strict=True):
            first = max(0, start.offset - before)
            for number, record in _read_rows(path, groups, first):
                location = f"{label(path)}:row {number + 1}"
                mark = Mark(before + number, before + number)
                yield Entry(location, mark, check_record(record, location, str(record)))
            before += sum(groups)


def open_parquet(files: Sequence[Any]) -> ParquetRows:
    """Return the records of Parquet files, by the description at the end of each.

    Raises:
        DataError: A file cannot be read, or has not the columns of a corpus.
    """
    return ParquetRows(tuple(files), tuple(_describe(path) for path in files))


def _describe(path: Any) -> tuple[int, ...]:
    with _opened(path) as parquet:
        names = parquet.schema_arrow.names
        if missing := [name for name in _NEEDED if name not in names]:
            raise DataError(
                f"{label(path)}: there is no column {' and no '.join(missing)}: "
                f"expected _id, text and perhaps title, found {', '.join(names)}"
            )
        return tuple(parquet.metadata.row_group(group).num_rows for group in range(parquet.num_row_groups))


def _read_rows(path: Any, groups: Sequence[int], first: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield number and record of the rows from `first` on."""
    passed, group = 0, 0
    while group < len(groups) and passed + groups[group] <= first:
        passed, group = passed + groups[group], group + 1
    if group < len(groups):
        rows = enumerate(_read_groups(path, range(group, len(groups))), start=passed)
        yield from islice(rows, first - passed, None)


def _read_groups(path: Any, groups: range) -> Iterator[dict[str, Any]]:
    with _opened(path) as parquet:
        columns = [name for name in _COLUMNS if name in parquet.schema_arrow.names]
        for batch in parquet.iter_batches(_ROWS_AT_ONCE, row_groups=list(groups), columns=columns):
            yield from batch.to_pylist()


@contextmanager
def _opened(path: Any) -> Iterator[Any]:
    from pyarrow.lib import ArrowException
    from pyarrow.parquet import ParquetFile

    try:
        with path.open("rb") as file:
            yield ParquetFile(file, buffer_size=_BUFFER)
    except (ArrowException, UnicodeDecodeError, *UNREADABLE) as error:
        reason = first_line(error)
        raise DataError(f"{label(path)}: no Parquet file that can be read ({reason})") from error
