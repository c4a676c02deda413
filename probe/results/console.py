"""Any result on a console: a table that fits it, its maps and its footer."""

from collections.abc import Mapping, Sequence

from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from probe.results.result import Column, Result

__all__ = ["draw_map", "print_result", "print_whole"]

# From the lowest score to the highest; readable without colour too, because every cell holds its number.
_SHADES = ("grey23", "grey35", "dark_green", "green4", "green3")


def print_result(result: Result, console: Console) -> None:
    """Print the table, its maps, its footer, and which columns a narrow console left no room for."""
    columns = result.columns()
    dropped: list[str] = []
    while any(column.drop for column in columns) and _measure(_table(columns, result), console) > console.width:
        least = max(columns, key=lambda column: column.drop)
        columns.remove(least)
        dropped.append(least.title)
    print_whole(_table(columns, result), console)
    for grid in result.grids():
        print_whole(draw_map(grid.values, f"{grid.measure}: {grid.caption}"), console)
    left_out = [f"left out, for want of width: {', '.join(dropped)}"] if dropped else []
    for line in [*left_out, *result.notes()]:
        console.print(Text(line, style="dim"))


def print_whole(table: Table, console: Console) -> None:
    """Print a table that must not be cut, even where its last columns are wider than the console."""
    width = console.width
    console.width = max(width, _measure(table, console))
    try:
        console.print(table, crop=False)
    finally:
        console.width = width


def _table(columns: Sequence[Column], result: Result) -> Table:
    table = Table(
        title=result.title(), title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), header_style="bold"
    )
    for column in columns:
        table.add_column(column.title, justify="left" if column.left else "right", no_wrap=True)
    emphasized = result.emphasized()
    for number, row in enumerate(result.rows):
        table.add_row(*[Text(column.cell(row)) for column in columns], style="bold" if number in emphasized else None)
    return table


def _measure(table: Table, console: Console) -> int:
    endless = console.options.update(max_width=100_000)
    return Measurement.get(console, endless, table).maximum


def draw_map(grid: Mapping[tuple[int, int], float], title: str) -> Table:
    """Draw numbers by row and column as a table that is readable without colour too."""
    rows, columns = (sorted({cell[side] for cell in grid}) for side in (0, 1))
    low, high = min(grid.values()), max(grid.values())
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 0, 0, 0), header_style="bold")
    table.add_column("", justify="right")
    for column in columns:
        table.add_column(str(column), justify="right", no_wrap=True)
    for row in rows:
        table.add_row(str(row), *[_cell(grid.get((row, column)), low, high) for column in columns])
    return table


def _cell(score: float | None, low: float, high: float) -> Text:
    if score is None:
        return Text("–")
    share = (score - low) / (high - low) if high > low else 1.0
    shade = _SHADES[min(len(_SHADES) - 1, int(share * len(_SHADES)))]
    best = " bold" if score == high else ""
    return Text(f" {score:.3f} ", style=f"white on {shade}{best}")
