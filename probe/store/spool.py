"""Values on disk between two passes, so that memory does not grow with the number of documents."""

import pickle
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Generic, TypeVar

from probe.errors import DataError
from probe.io.files import reason

__all__ = ["Spool", "open_spool"]

T = TypeVar("T")


class Spool(Generic[T]):
    """Values in the order in which they were added; read again from the beginning."""

    def __init__(self, file: IO[bytes]) -> None:
        """Create an empty spool in a file."""
        self._file = file
        self.count = 0

    def add(self, value: T) -> None:
        """Append a value."""
        pickle.dump(value, self._file, pickle.HIGHEST_PROTOCOL)
        self.count += 1

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[T]:
        self._file.seek(0)
        for _ in range(self.count):
            yield pickle.load(self._file)


@contextmanager
def open_spool(folder: Path) -> Iterator[Spool[Any]]:
    """Open a spool in a file without a name; the system removes it with the process, however that ends.

    Args:
        folder: Where there is room for it.

    Raises:
        DataError: If the folder cannot be written.
    """
    try:
        file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
    except OSError as error:
        raise DataError(f"'{folder}' cannot be written: {reason(error)}") from error
    with file:
        yield Spool(file)
