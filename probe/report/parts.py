"""What a report is made of: sections with tables, charts and maps, as values."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from probe.report.curves import Drawing
from probe.results.charts import luminance
from probe.results.result import Result

__all__ = ["Cell", "HeatMap", "ReportTable", "Section", "make_map", "make_table"]

# A blue of one hue that gets darker with the value, in red, green and blue of 0..255.
_PALE, _DARK = (235, 243, 251), (8, 48, 107)
_NUMBER = re.compile(r"[<+\-]?[\d.]+[*M]?( ?[–±] ?[\d.]+| [<\d.]+)?|–?")


@dataclass(frozen=True)
class ReportTable:
    """A table that can be sorted and filtered.

    Attributes:
        caption: What it shows.
        header: Titles of the columns.
        numeric: Whether a column holds numbers, per column.
        rows: The cells.
    """

    caption: str
    header: tuple[str, ...]
    numeric: tuple[bool, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Cell:
    """A number with a colour.

    Attributes:
        text: The number.
        paper: Colour behind it.
        ink: Colour of the text: black or white, whichever is read better.
        tip: What it says when pointed at.
    """

    text: str
    paper: str
    ink: str
    tip: str


@dataclass(frozen=True)
class HeatMap:
    """Numbers by two layers.

    Attributes:
        caption: What it shows.
        columns: Layers across.
        rows: A layer down, and its cells.
    """

    caption: str
    columns: tuple[int, ...]
    rows: tuple[tuple[int, tuple[Cell | None, ...]], ...]


@dataclass(frozen=True)
class Section:
    """The section of one result.

    Attributes:
        result: The result.
        title: What was done, to what.
        source: The file it was read from.
        summary: Sentences that say what came of it.
        warnings: Warnings, as sentences.
        table: The rows.
        drawings: Charts.
        maps: Heat maps.
        encoders: Names of a leaderboard's rows, best first, for its examples.
    """

    result: Result
    title: str
    source: str
    summary: tuple[str, ...]
    warnings: tuple[str, ...]
    table: ReportTable
    drawings: tuple[Drawing, ...] = ()
    maps: tuple[HeatMap, ...] = ()
    encoders: tuple[str, ...] = ()


def make_table(
    caption: str, header: Sequence[str], cells: Sequence[Sequence[str]], *, without: Sequence[str] = ()
) -> ReportTable:
    """Make a table of text cells, leaving out columns by title, and find its columns of numbers."""
    shown = [column for column, title in enumerate(header) if title not in without]
    rows = tuple(tuple(row[column] for column in shown) for row in cells)
    numeric = tuple(all(_NUMBER.fullmatch(row[column]) for row in rows) for column in range(len(shown)))
    return ReportTable(caption, tuple(header[column] for column in shown), numeric, rows)


def make_map(caption: str, grid: Mapping[tuple[int, int], float], form: str = ".2f") -> HeatMap:
    """Make a map of numbers by layers down and across, the least palest; a cell without a number is None."""
    low, high = min(grid.values()), max(grid.values())
    down, across = sorted({row for row, _ in grid}), sorted({column for _, column in grid})

    def cell(row: int, column: int) -> Cell | None:
        """Return a number with its colour."""
        value = grid.get((row, column))
        if value is None:
            return None
        paper, ink = _colours((value - low) / (high - low) if high > low else 0.0)
        return Cell(format(value, form), paper, ink, f"layer {row} and layer {column}: {value:.4f}")

    return HeatMap(caption, tuple(across), tuple((row, tuple(cell(row, column) for column in across)) for row in down))


def _colours(share: float) -> tuple[str, str]:
    rgb = [round(pale + (dark - pale) * share) for pale, dark in zip(_PALE, _DARK, strict=True)]
    return "#" + "".join(f"{part:02x}" for part in rgb), "#000000" if luminance(
        [part / 255 for part in rgb]
    ) > 0.179 else "#ffffff"
