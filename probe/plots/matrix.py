"""The picture of encoders over several data sets: a panel of layer curves per data set, or a matrix of dots."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from probe.errors import CallError
from probe.plots.cost import draw_cost, has_cost
from probe.plots.curves import draw_curves, draw_levels, mark_handles
from probe.plots.dimensions import is_ladder
from probe.plots.dot_matrix import dot_bands
from probe.plots.leaderboard import MOST_LEVELS, map_band, priced_points
from probe.plots.sheet import Band, Handles, Panel, stack
from probe.plots.style import Picture, house_style, result_title, wrap_name
from probe.results.charts import Chart, chart_leaderboard
from probe.results.formats import metric_title
from probe.results.matrix import DatasetMatrix

__all__ = ["draw"]

_MOST_PANELS = 4
# Characters of a line of a data set's name.
_NAME = 24
# Share of the vertical axis that is left free at each end.
_MARGIN = 0.04


def draw(result: DatasetMatrix) -> Picture:
    """Draw encoders over several data sets.

    Raises:
        CallError: It has no rows.
    """
    if not result.rows:
        raise CallError("nothing to draw: the leaderboard has no rows")
    grids = result.grids()
    mapped = {encoder for grid in grids for encoder in grid.encoders}
    chart = chart_leaderboard(result, without=mapped)
    if is_ladder(result):
        chart = Chart((), chart.singles)
    are_levels = bool(chart.curves) and len(chart.singles) <= MOST_LEVELS
    curved = {point.name for curve in chart.curves for point in curve.points}
    dotted = [] if are_levels else [row for row in result.rows if row.encoder not in mapped | curved]
    bands: list[Band] = []
    with house_style():
        if chart.curves:
            bands += _curve_bands(result, Chart(chart.curves, chart.singles if are_levels else ()))
        if dotted:
            bands += dot_bands(result, dotted)
        bands += [map_band(grid, f"mean {metric_title(result.metric)}") for grid in grids]
        return stack(bands, _title(result, are_dots=bool(dotted)))


def _title(result: DatasetMatrix, *, are_dots: bool) -> str:
    data = {**result.settings["dataset"], "name": f"{len(result.datasets)} data sets"}
    title = result_title({"dataset": data}, metric_title(result.metric))
    return f"{title}\ndifference to the baseline {result.settings['baseline']}" if are_dots else title


@dataclass(frozen=True)
class _Curves:
    """What the panel of one data set, or of the mean, shows.

    Attributes:
        chart: Its curves and levels.
        title: Its title.
        measure: What its numbers are.
        limits: The ends of the vertical axis, which all panels share.
    """

    chart: Chart
    title: str
    measure: str
    limits: tuple[float, float]


def _curve_bands(result: DatasetMatrix, chart: Chart) -> list[Band]:
    """Return the mean with its costs, and below it a panel of curves per data set, all with one vertical axis."""
    boards = {name: result.aligned(name) for name in result.datasets}
    charts = {name: _like(chart, chart_leaderboard(board)) for name, board in boards.items()}
    limits = _limits([chart, *charts.values()])
    measure = f"{metric_title(result.metric)}, 95% CI"
    # Joined from files, means have none.
    mean = f"mean {measure}" if any(row.ci95 for row in result.rows) else f"mean {metric_title(result.metric)}"
    priced = priced_points(chart, are_levels=True)
    costs: list[Panel] = [partial(draw_cost, priced=priced, score=mean)] if has_cost(priced) else []
    whole = _Curves(chart, "mean of the data sets by layer", mean, limits)
    columns = _balance(len(boards), _MOST_PANELS)
    small = [
        _Curves(charts[name], _set_title(name, board.settings["dataset"]["queries"]), measure, limits)
        for name, board in boards.items()
    ]
    height = 1.3 + 1.6 / columns + 0.13 * max(one.title.count("\n") for one in small)
    panels = [partial(_fill_small, one) for one in small]
    starts = range(0, len(panels), columns)
    return [
        Band(3, (partial(_fill, whole), *costs), shared=True),
        *(Band(height, tuple(panels[start : start + columns]), columns, shared=True) for start in starts),
    ]


def _balance(count: int, most: int) -> int:
    """Return how many of some panels stand side by side, so that their rows are about equally long."""
    return math.ceil(count / math.ceil(count / most))


def _like(whole: Chart, found: Chart) -> Chart:
    """Return the curves and levels of a data set that the chart of the mean has."""
    curves, levels = ({one.name for one in ones} for ones in (whole.curves, whole.singles))
    return Chart(
        tuple(curve for curve in found.curves if curve.name in curves),
        tuple(point for point in found.singles if point.name in levels),
    )


def _set_title(name: str, queries: int) -> str:
    return f"{wrap_name(name, _NAME)}\n{queries:,} {'query' if queries == 1 else 'queries'}"


def _limits(charts: Sequence[Chart]) -> tuple[float, float]:
    """Return the ends of an axis that has room for all charts."""
    points = [point for chart in charts for curve in chart.curves for point in curve.points]
    points += [point for chart in charts for point in chart.singles]
    ends = [end for point in points for end in (point.value, *(point.interval or ()))]
    margin = _MARGIN * (max(ends) - min(ends)) or 0.05
    return min(ends) - margin, max(ends) + margin


def _fill(shown: _Curves, axes: Axes) -> Handles:
    chart = shown.chart
    lines = draw_curves(axes, chart.curves, shown.measure)
    points = [point for curve in chart.curves for point in curve.points]
    handles = {**lines, **draw_levels(axes, chart.singles), **mark_handles([*points, *chart.singles])}
    axes.set_title(shown.title)
    axes.set_ylim(*shown.limits)
    return handles


def _fill_small(shown: _Curves, axes: Axes) -> Handles:
    handles = _fill(shown, axes)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, steps=[1, 2, 5, 10], min_n_ticks=1))
    axes.set_xlabel("layer")
    return handles
