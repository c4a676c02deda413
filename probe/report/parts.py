"""What a report is made of: sections with tables, charts and maps, as values."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from probe.report.curves import Drawing
from probe.report.headline import Tile
from probe.results.colours import TINT_STEPS, luminance
from probe.results.formats import EMPTY
from probe.results.result import Column, Result

__all__ = ["Cell", "Compared", "HeatMap", "ReportTable", "Section", "Tint", "make_map", "make_table"]

# Cividis at its quarters, as in the pictures: dark blue to yellow, in red, green and blue of 0..255.
_MAP = ((0, 34, 78), (62, 74, 107), (124, 123, 120), (187, 173, 109), (254, 232, 56))
_NUMBER = re.compile(r"[<+\-]?[\d.]+(?:,\d{3})*[*Mx%▲▼]?( ?(?:[–±]|to) ?[+\-]?[\d.]+|( [<\d.]+){1,2})?|–?")


@dataclass(frozen=True)
class Tint:
    """What a cell shows beside its number.

    Attributes:
        step: The number of its background, as `tint_of` counts.
        difference: The difference to the baseline.
    """

    step: int
    difference: str


@dataclass(frozen=True)
class ReportTable:
    """A table that can be sorted and filtered.

    Attributes:
        caption: What it shows.
        header: Titles of the columns.
        numeric: Whether a column holds numbers, per column.
        rows: The cells.
        tints: Backgrounds, by row and column.
    """

    caption: str
    header: tuple[str, ...]
    numeric: tuple[bool, ...]
    rows: tuple[tuple[str, ...], ...]
    tints: Mapping[tuple[int, int], Tint] = field(default_factory=dict)

    @property
    def legend(self) -> list[tuple[int, str]]:
        """The differences that each background stands for, from the worst to the best."""
        ends = [(number, f"{step:g}") for number, step in enumerate(TINT_STEPS, 1)]
        worse = [(-number, f"≤ -{text}") for number, text in reversed(ends)]
        return [*worse, (0, "about equal"), *((number, f"≥ +{text}") for number, text in ends)]


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
class Compared:
    """An encoder whose documents are shown per query.

    Attributes:
        name: Its name.
        rank: Its rank in the findings of an example.
        mark: A word behind its name, such as `baseline`.
    """

    name: str
    rank: int
    mark: str = ""


@dataclass(frozen=True)
class Section:
    """The section of one result.

    Attributes:
        result: The result.
        title: What was done, to what.
        source: The file it was read from.
        summary: Sentences on what the rows show; the first is the verdict.
        warnings: Warnings, as sentences.
        table: The rows.
        tiles: The headline's numbers.
        drawings: Charts.
        multiples: Small charts, one per data set.
        measure: What their vertical axis is.
        maps: Heat maps.
        compared: The encoders that are shown per query, the baseline first.
        headings: The sorts of queries that are shown, as `Example.chosen` has them, with their headings.
        parts: The sections of its data sets, which are folded.
    """

    result: Result
    title: str
    source: str
    summary: tuple[str, ...]
    warnings: tuple[str, ...]
    table: ReportTable
    tiles: tuple[Tile, ...] = ()
    drawings: tuple[Drawing, ...] = ()
    multiples: tuple[Drawing, ...] = ()
    measure: str = ""
    maps: tuple[HeatMap, ...] = ()
    compared: tuple[Compared, ...] = ()
    headings: Mapping[str, str] = field(default_factory=dict)
    parts: tuple["Section", ...] = ()


def make_table(caption: str, result: Result, score: str = "", *, without: Sequence[str] = ()) -> ReportTable:
    """Make the table of a result: the encoder, its score, and the other columns in the order of their worth.

    Args:
        caption: What it shows; columns with one value in all rows are put behind it.
        result: Whose rows.
        score: Title of the column of scores.
        without: Titles of columns that are left out.
    """
    shown, same = [], []
    header, cells = result.cells()
    for place, column in enumerate(result.columns()):
        values = [row[place] for row in cells]
        if header[place] in without or set(values) == {EMPTY} or not any(values):
            continue
        if column.label and len(values) > 1 and len(set(values)) == 1:
            same += [f"{column.label} {values[0]}"] if values[0] != "none" else []
        else:
            shown.append((_worth(column, score), place))
    places = [place for _, place in sorted(shown)]
    rows = tuple(tuple(row[place] for place in places) for row in cells)
    numeric = tuple(all(_NUMBER.fullmatch(row[place]) for row in cells) for place in places)
    return ReportTable("; ".join([caption, *same]), tuple(header[place] for place in places), numeric, rows)


def _worth(column: Column, score: str) -> int:
    """Return the place of a column: a row's name, its score, what is never dropped from a narrow table; ranks last."""
    if column.name == "rank":
        return 100
    if column.title == score:
        return -1
    return -2 if column.left and column.drop == 0 else column.drop


def make_map(caption: str, grid: Mapping[tuple[int, int], float], form: str = ".2f") -> HeatMap:
    """Make a map of numbers by layers down and across, the least darkest; a cell without a number is None."""
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
    step, rest = divmod(share * (len(_MAP) - 1), 1)
    low, high = _MAP[int(step)], _MAP[min(int(step) + 1, len(_MAP) - 1)]
    rgb = [round(a + (b - a) * rest) for a, b in zip(low, high, strict=True)]
    ink = "#000000" if luminance([part / 255 for part in rgb]) > 0.179 else "#ffffff"
    return "#" + "".join(f"{part:02x}" for part in rgb), ink
