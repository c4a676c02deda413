"""The section of a report on encoders over several data sets."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from probe.report.cost import cost_panel
from probe.report.curves import Drawing, lay_out
from probe.report.headline import leaderboard_tiles
from probe.report.leaderboard import dimension_panel, layer_panel, leaderboard_section, subject
from probe.report.panels import Panel
from probe.report.parts import ReportTable, Section, Tint, make_map, make_table
from probe.results.colours import tint_of
from probe.results.formats import metric_title
from probe.results.leaderboard import Leaderboard
from probe.results.matrix import MEAN, DatasetMatrix

__all__ = ["matrix_section"]

# Data sets that the title names.
_MOST_NAMED = 4


def matrix_section(result: DatasetMatrix, source: str, *, folded: bool = True) -> Section:
    """Return the section of a matrix.

    Args:
        result: The matrix.
        source: Where it was read from.
        folded: Whether the leaderboard of every data set is folded below it.
    """
    metric, names = metric_title(result.metric), result.datasets
    title = f"{subject(result)} on {len(names)} data sets"
    title += f": {', '.join(names)}" if len(names) <= _MOST_NAMED else ""
    panels = (layer_panel(result), dimension_panel(result), cost_panel(result))
    maps = (make_map(f"{MEAN} {metric}: {grid.caption}", grid.values, ".3f") for grid in result.grids())
    return Section(
        result=result,
        title=title,
        source=source,
        summary=tuple(result.conclusions()),
        warnings=tuple(result.cautions()),
        table=_make_table(result, f"{metric} by data set, best first"),
        tiles=leaderboard_tiles(result, f"{MEAN} {metric}"),
        drawings=tuple(lay_out(_as_mean(panel)) for panel in panels if panel is not None),
        multiples=(*_multiples(result, layer_panel), *_multiples(result, dimension_panel)),
        measure=f"{metric} (95% CI)",
        maps=tuple(maps),
        parts=tuple(_part(result.single(name), name, source) for name in names) if folded else (),
    )


def _part(board: Leaderboard, name: str, source: str) -> Section:
    split = board.settings["dataset"]["split"]
    return replace(leaderboard_section(board, Path(source)), title=f"{name} ({split})")


def _as_mean(panel: Panel) -> Panel:
    """Return a panel of means, which have no intervals where they were joined from files."""
    has_intervals = any(dot.interval for line in panel.lines for dot in line.dots)
    label = panel.y_label if has_intervals else panel.y_label.removesuffix(", 95% CI")
    return replace(panel, title=f"{MEAN} {panel.title}", y_label=f"{MEAN} {label}")


def _multiples(result: DatasetMatrix, make: Callable[[Leaderboard], Panel | None]) -> tuple[Drawing, ...]:
    """Return a small chart per data set, all with one vertical axis, whose label is above them."""
    found = [(name, make(result.aligned(name))) for name in result.datasets]
    panels = [replace(panel, title=name, y_label="") for name, panel in found if panel is not None]
    heights = [height for panel in panels for height in panel.heights]
    return tuple(lay_out(replace(panel, span=(min(heights), max(heights)))) for panel in panels)


def _make_table(result: DatasetMatrix, caption: str) -> ReportTable:
    """Return the table, whose scores have their differences to the baseline beside them."""
    deltas = [column.title for column in result.columns() if f"{column.name}:".startswith("delta:")]
    table = make_table(caption, result, MEAN, without=deltas)
    return replace(table, tints=_tints(result, table.header))


def _tints(result: DatasetMatrix, header: Sequence[str]) -> dict[tuple[int, int], Tint]:
    tints = {}
    for name in (MEAN, *result.datasets):
        column = header.index(name)
        for number, row in enumerate(result.rows):
            delta = result.score_on(row, name).delta
            if delta is not None:
                tints[number, column] = Tint(tint_of(delta), f"{delta:+.4f}")
    return tints
