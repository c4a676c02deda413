"""The base of every result: rows and all that decided them, as JSON, data frame, HTML and text."""

import json
from collections.abc import Callable, Collection, Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from probe.io.html_table import import_pandas, render_table
from probe.results.grids import Grid

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SCHEMA", "Column", "Result", "result_payload"]

SCHEMA = 1


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        title: Its header.
        cell: The text of a row's cell.
        left: Whether it is set flush left; numbers are not.
        drop: The column with the greatest leaves a narrow console first, 0 never does.
    """

    title: str
    cell: Callable[[Any], str]
    left: bool = False
    drop: int = 0


def result_payload(
    kind: str, command: str, created: str, *, settings: dict[str, Any], rows: Iterable[Any]
) -> dict[str, Any]:
    """Return plain values under the head that the JSON of every result begins with."""
    return {
        "schema": SCHEMA,
        "kind": kind,
        "command": command,
        "created": created,
        "settings": settings,
        "rows": [asdict(row) for row in rows],
    }


@dataclass(frozen=True)
class Result:
    """The result of a command; a kind of result adds the type of its rows and their columns.

    Attributes:
        command: The command line, or the call, that made it.
        created: When, in ISO 8601.
        settings: Everything of the footer.
        rows: Frozen dataclasses, in the order of the table.
    """

    kind: ClassVar[str]
    # What is made up where the data set is synthetic.
    made_up: ClassVar[str] = "queries"

    command: str
    created: str
    settings: dict[str, Any]
    rows: tuple[Any, ...]

    def columns(self) -> list[Column]:
        """Return the columns of the table."""
        raise NotImplementedError

    def notes(self) -> list[str]:
        """Return the footer: everything that decided the numbers, and how to read them."""
        raise NotImplementedError

    def title(self) -> str:
        """Return the data, and whether they are made up."""
        data = self.settings["dataset"]
        split = f" ({data['split']})" if "split" in data else ""
        return f"{data['name']}{split}{f' · synthetic {self.made_up}' if data['synthetic'] else ''}"

    def cells(self) -> tuple[list[str], list[list[str]]]:
        """Return the header and the cells of every row, as text."""
        columns = self.columns()
        return [column.title for column in columns], [[column.cell(row) for column in columns] for row in self.rows]

    def grids(self) -> tuple[Grid, ...]:
        """Return the maps that belong to the table."""
        return ()

    def emphasized(self) -> Collection[int]:
        """Return the indices of the rows that stand out."""
        return ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain values in the order of the JSON form; every key of a row is there, null where it is None."""
        return result_payload(self.kind, self.command, self.created, settings=self.settings, rows=self.rows)

    def to_json(self) -> str:
        """Return it as JSON."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False) + "\n"

    def flat_rows(self) -> list[dict[str, Any]]:
        """Return the rows as a data frame has them."""
        return [asdict(row) for row in self.rows]

    def to_pandas(self) -> "pd.DataFrame":
        """Return the rows as a data frame, numbers as numbers; a leaderboard's columns are those of its CSV.

        Raises:
            CallError: pandas is not installed.
        """
        frame: pd.DataFrame = import_pandas().DataFrame(self.flat_rows())
        return frame.convert_dtypes()

    def _repr_html_(self) -> str:
        """Return the table and its footer as HTML."""
        about = "Everything that decided these numbers"
        return render_table(self.title(), *self.cells(), about=about, notes=self.notes())
