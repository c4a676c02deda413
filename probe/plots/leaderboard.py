"""The picture of a leaderboard: curves over layers and what they cost, single encoders, maps of fusions."""

from collections.abc import Sequence
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from probe.errors import CallError
from probe.plots.bytes import byte_bands, has_bytes
from probe.plots.cost import Priced, draw_cost, has_cost
from probe.plots.curves import curve_styles, draw_curves, draw_dots, draw_levels, level_style, mark_handles
from probe.plots.dimensions import is_ladder, ladder_bands
from probe.plots.heat_map import as_array, draw_cells, name_cells
from probe.plots.sheet import Band, Handles, Panel, stack
from probe.plots.style import LineStyle, Picture, house_style, result_title
from probe.results.charts import Chart, Curve, Point, chart_leaderboard
from probe.results.colours import ADAPTED, FROZEN
from probe.results.formats import metric_title
from probe.results.leaderboard import Leaderboard
from probe.results.row import Grid

__all__ = ["MOST_LEVELS", "draw", "map_band", "priced_points"]

# More single encoders than these are no lines across the curves, but a panel of their own.
MOST_LEVELS = 3
# Characters of a name beside a point.
_SHORT = 34
_SINGLE = LineStyle(FROZEN.light, "o", "none")
_SINGLE_ADAPTED = LineStyle(ADAPTED.light, "o", "none")


def draw(result: Leaderboard) -> Picture:
    """Draw a leaderboard.

    Raises:
        CallError: It has no rows.
    """
    if not result.rows:
        raise CallError("nothing to draw: the leaderboard has no rows")
    with house_style():
        return stack(_pick_bands(result), result_title(result.settings, metric_title(result.metric)))


def _pick_bands(result: Leaderboard) -> list[Band]:
    if has_bytes(result):
        return byte_bands(result)
    return ladder_bands(result) if is_ladder(result) else _bands(result)


def _bands(result: Leaderboard) -> list[Band]:
    grids = result.grids()
    mapped = {encoder: layers for grid in grids for encoder, layers in grid.encoders.items()}
    chart = chart_leaderboard(result, without=mapped)
    are_levels = bool(chart.curves) and len(chart.singles) <= MOST_LEVELS
    priced = priced_points(chart, are_levels)
    priced += [
        Priced(point, _SINGLE, "+".join(map(str, mapped[point.name])))
        for point in chart_leaderboard(result).singles
        if point.name in mapped
    ]
    costs: list[Panel] = [partial(draw_cost, priced=priced, score=_score(result))] if has_cost(priced) else []
    bands = []
    if chart.curves:
        fill = partial(_fill_curves, chart.curves, chart.singles if are_levels else (), score=_score(result))
        bands.append(Band(3.5, (fill, *costs), shared=True))
    if chart.singles and not are_levels:
        bands.append(Band(0.9 + 0.27 * len(chart.singles), (partial(_fill_dots, chart.singles, result),)))
    if costs and not chart.curves:
        bands.append(Band(3, tuple(costs)))
    return bands + [map_band(grid, metric_title(result.metric)) for grid in grids]


def _score(result: Leaderboard) -> str:
    return f"{metric_title(result.metric)}, 95% CI"


def priced_points(chart: Chart, are_levels: bool) -> list[Priced]:
    """Return all points with the styles and labels that they have beside curves, where `are_levels`, or as dots."""
    drawn = zip(chart.curves, curve_styles(chart.curves), strict=True)
    curved = [Priced(point, style, str(point.position)) for curve, style in drawn for point in curve.points]
    if are_levels:
        # A longer name is in the legend, beside the same marker.
        labels = [point.name if len(point.name) <= _SHORT else "" for point in chart.singles]
        styles = [level_style(number) for number in range(len(chart.singles))]
    else:
        labels = [f"#{number}" for number in range(1, len(chart.singles) + 1)]
        styles = [_SINGLE_ADAPTED if point.adaptor else _SINGLE for point in chart.singles]
    return curved + [Priced(*entry) for entry in zip(chart.singles, styles, labels, strict=True)]


def _fill_curves(curves: Sequence[Curve], levels: Sequence[Point], axes: Axes, *, score: str) -> Handles:
    lines = draw_curves(axes, curves, score)
    points = [point for curve in curves for point in curve.points]
    axes.set_title("score by layer")
    return {**lines, **draw_levels(axes, levels), **mark_handles([*points, *levels])}


def _fill_dots(points: Sequence[Point], result: Leaderboard, axes: Axes) -> Handles:
    return {**draw_dots(axes, points, _score(result), baseline=result.settings["baseline"]), **mark_handles(points)}


def map_band(grid: Grid, measure: str) -> Band:
    """Return the panel of a map of fusions; `measure` is what its numbers are."""
    rows = len({row for row, _ in grid.values})
    return Band(1.1 + 0.3 * rows, (partial(_fill_map, grid, measure),))


def _fill_map(grid: Grid, measure: str, axes: Axes) -> Handles:
    rows, columns, values = as_array(grid.values)
    mesh = draw_cells(axes, values, (min(grid.values.values()), max(grid.values.values())))
    name_cells(axes, rows, columns)
    _frame_best(axes, values)
    axes.set_ylabel(f"layer of {grid.first}")
    axes.set_xlabel(f"layer of {grid.second}")
    axes.figure.colorbar(mesh, ax=axes, label=measure, pad=0.01, fraction=0.03)
    axes.set_title("fusions of two layers (the best is framed)")
    return {}


def _frame_best(axes: Axes, values: NDArray[np.float64]) -> None:
    row, column = np.unravel_index(np.nanargmax(values), values.shape)
    axes.add_patch(Rectangle((float(column), float(row)), 1, 1, fill=False, edgecolor="black", linewidth=2))
