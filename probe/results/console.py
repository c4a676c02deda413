"""Any result on a console: a table that fits it, its maps, its verdict, and what decided the numbers."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from probe.errors import CallError
from probe.results.formats import EMPTY
from probe.results.row import Grid

__all__ = ["Column", "Printable", "View", "check_columns", "draw_map", "print_result", "print_whole"]

# From the lowest score to the highest; readable without colour too, because every cell holds its number.
_SHADES = ("grey23", "grey35", "dark_green", "green4", "green3")


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        title: Its header.
        cell: The text of a row's cell.
        left: Whether it is set flush left; numbers are not.
        drop: Columns with the greatest leave a narrow console first, those of one number together, those of 0 never.
        key: Its name on a command line; the title in lower case when left out.
        label: Put before the value in the table's title, where all rows have the same; None keeps the column.
        wraps: Whether it is never hidden: columns that do not fit go to further tables below.
        break_at: Where a long value may be broken into lines if such columns do not fit beside it.
    """

    title: str
    cell: Callable[[Any], str]
    left: bool = False
    drop: int = 0
    key: str = ""
    label: str | None = None
    wraps: bool = False
    break_at: str = ""

    def broken(self) -> "Column":
        """Return it with its values broken into lines; nothing of them is lost."""
        if not self.break_at:
            return self
        return replace(self, cell=lambda row: self.cell(row).replace(self.break_at, f"\n{self.break_at}"))

    @property
    def name(self) -> str:
        """The name on a command line."""
        return self.key or self.title.lower()


class Printable(Protocol):
    """What can be printed: rows with their columns, and words below them."""

    @property
    def rows(self) -> Sequence[Any]:
        """The rows."""

    def columns(self) -> list[Column]:
        """Return the columns of the table."""

    def title(self) -> str:
        """Return the title."""

    def grids(self) -> tuple[Grid, ...]:
        """Return the maps that belong to the table."""

    def emphasized(self) -> Collection[int]:
        """Return the indices of the rows that stand out."""

    def conclusions(self) -> list[str]:
        """Return the verdict, and what else was asked for."""

    def cautions(self) -> list[str]:
        """Return the warnings, in short."""

    def brief(self) -> list[str]:
        """Return what decided the numbers, in three lines at most."""

    def notes(self) -> list[str]:
        """Return everything that decided the numbers."""


@dataclass(frozen=True)
class View:
    """How much of a result is printed.

    Attributes:
        details: Whether the whole footer stands below the table, and not three lines of it.
        columns: Names of the columns to show, in this order; all that fit when empty.
        all_settings: Where all settings are, as the last of the three lines says.
        all_columns: How hidden columns are shown.
    """

    details: bool = False
    columns: tuple[str, ...] = ()
    all_settings: str = "--details"
    all_columns: str = "--columns chooses"


@dataclass(frozen=True)
class _Layout:
    """The columns of a table that fits, those of further tables, what all rows share, and what is hidden."""

    columns: tuple[Column, ...]
    further: tuple[tuple[Column, ...], ...] = ()
    shared: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()


def print_result(result: Printable, console: Console, view: View | None = None) -> None:
    """Print the title, the table with its maps, the verdict, the warnings, and what decided the numbers."""
    view = view or View()
    layout = _choose(result, view.columns) if view.columns else _fit(result, console)
    for line in _title_lines([result.title(), *layout.shared], console.width):
        console.print(Text(line, style="italic"), soft_wrap=True)
    for columns in (layout.columns, *layout.further):
        print_whole(_table(columns, result), console)
    for grid in result.grids():
        console.print(Text(f"{grid.measure}: {grid.caption}", style="italic"), soft_wrap=True)
        print_whole(draw_map(grid.values), console)
    for line in result.conclusions():
        console.print(Text(line, style="bold"))
    for line in result.cautions():
        console.print(Text(line, style="yellow"))
    for line in [*_hidden_lines(layout.hidden, view), *(result.notes() if view.details else _brief(result, view))]:
        console.print(Text(line, style="dim"))


def check_columns(wanted: Sequence[str], known: Collection[str]) -> None:
    """Refuse names of columns that a table does not have.

    Raises:
        CallError: One is none of them.
    """
    for name in wanted:
        if name not in known:
            raise CallError(f"unknown column '{name}': expected some of {', '.join(known)}")


def _choose(result: Printable, wanted: Sequence[str]) -> _Layout:
    named = {column.name: column for column in result.columns()}
    check_columns(wanted, named)
    return _Layout(tuple(named[name] for name in wanted))


def _fit(result: Printable, console: Console) -> _Layout:
    """Return the columns that fit; empty ones are left out, and those with one value for all rows go to the title."""
    columns, shared = [], []
    for column in result.columns():
        values = {column.cell(row) for row in result.rows}
        if values <= {"", EMPTY} and column.label is None:
            continue
        same = len(result.rows) > 1 and len(values) == 1
        if same and column.label is not None:
            shared += [f"{column.label} {value}".strip() for value in values if value != EMPTY]
        else:
            columns.append(column)
    if any(column.wraps for column in columns):
        columns = _break_names(columns, result, console)
    fixed = [column for column in columns if not column.drop]
    further = [] if _fits(fixed, result, console) else [column for column in fixed if column.wraps]
    fitting = [column for column in fixed if column not in further]
    for drop in sorted({column.drop for column in columns} - {0}):
        more = [*fitting, *(column for column in columns if column.drop == drop)]
        if _fits(more, result, console):
            fitting = more
    hidden = tuple(column.name for column in columns if column not in fitting and column not in further)
    shown = tuple(column for column in columns if column in fitting)
    names = [column for column in fitting if column.left and not column.drop]
    return _Layout(shown, _wrap(names, further, result, console=console), tuple(shared), hidden)


def _break_names(columns: list[Column], result: Printable, console: Console) -> list[Column]:
    """Return the columns with long names in several lines, if that makes room for those that would go on below."""
    broken = [column.broken() for column in columns]
    fixed, shorter = ([column for column in some if not column.drop] for some in (columns, broken))
    return broken if not _fits(fixed, result, console) and _fits(shorter, result, console) else columns


def _fits(columns: Sequence[Column], result: Printable, console: Console) -> bool:
    return _measure(_table(columns, result), console) <= console.width


def _wrap(
    names: Sequence[Column], columns: Sequence[Column], result: Printable, *, console: Console
) -> tuple[tuple[Column, ...], ...]:
    """Return tables of as many columns as fit, each beside the names of the rows."""
    tables: list[list[Column]] = []
    for column in columns:
        if tables and _fits([*names, *tables[-1], column], result, console):
            tables[-1].append(column)
        else:
            tables.append([column])
    return tuple((*names, *table) for table in tables)


def _title_lines(parts: Sequence[str], width: int) -> list[str]:
    """Join the parts of a title to lines; a part is never cut, so that a name in it can be copied."""
    lines = [parts[0]]
    for part in parts[1:]:
        joined = f"{lines[-1]} · {part}"
        lines[-1:] = [joined] if len(joined) <= width else [lines[-1], part]
    return lines


def _hidden_lines(hidden: Sequence[str], view: View) -> list[str]:
    if not hidden:
        return []
    count = "1 column" if len(hidden) == 1 else f"{len(hidden)} columns"
    # A column that is there once per data set is named once.
    names = dict.fromkeys(f"{name.partition(':')[0]}:NAME" if ":" in name else name for name in hidden)
    return [f"{count} hidden (terminal too narrow): {', '.join(names)}; {view.all_columns}"]


def _brief(result: Printable, view: View) -> list[str]:
    *first, last = result.brief()
    return [*first, f"{last}; all settings: {view.all_settings}"]


def print_whole(table: Table, console: Console) -> None:
    """Print a table that must not be cut, even where its last columns are wider than the console."""
    width = console.width
    console.width = max(width, _measure(table, console))
    try:
        console.print(table, crop=False)
    finally:
        console.width = width


def _table(columns: Sequence[Column], result: Printable) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), header_style="bold")
    texts = [_set_flush(column, result) for column in columns]
    for title, *_ in texts:
        table.add_column(title, no_wrap=True)
    emphasized = result.emphasized()
    for number, cells in enumerate(zip(*(cells for _, *cells in texts), strict=True)):
        table.add_row(*map(Text, cells), style="bold" if number in emphasized else None)
    return table


def _set_flush(column: Column, result: Printable) -> list[str]:
    """Return title and cells of a column, numbers flush right; rich would strip the blanks behind them."""
    texts = [column.title, *(column.cell(row) for row in result.rows)]
    if column.left:
        return texts
    widths = [cell_len(text) for text in texts]
    return [" " * (max(widths) - width) + text for text, width in zip(texts, widths, strict=True)]


def _measure(table: Table, console: Console) -> int:
    endless = console.options.update(max_width=100_000)
    return Measurement.get(console, endless, table).maximum


def draw_map(grid: Mapping[tuple[int, int], float]) -> Table:
    """Draw numbers by row and column as a table that is readable without colour too."""
    rows, columns = (sorted({cell[side] for cell in grid}) for side in (0, 1))
    low, high = min(grid.values()), max(grid.values())
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 0, 0, 0), header_style="bold")
    table.add_column("", justify="right")
    for column in columns:
        table.add_column(str(column), justify="right", no_wrap=True)
    for row in rows:
        table.add_row(str(row), *[_cell(grid.get((row, column)), low, high) for column in columns])
    return table


def _cell(score: float | None, low: float, high: float) -> Text:
    if score is None:
        return Text(EMPTY)
    share = (score - low) / (high - low) if high > low else 1.0
    shade = _SHADES[min(len(_SHADES) - 1, int(share * len(_SHADES)))]
    best = " bold" if score == high else ""
    ink = "black" if shade == _SHADES[-1] else "white"
    return Text(f" {score:.3f} ", style=f"{ink} on {shade}{best}")
