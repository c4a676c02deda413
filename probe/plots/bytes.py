"""The picture of stored vectors: score against bytes per vector, and the front that nothing smaller beats."""

from collections.abc import Sequence
from functools import partial

from matplotlib.axes import Axes
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from probe.plots.cost import draw_front
from probe.plots.curves import Mark, draw_marks, mark_handles, sample
from probe.plots.sheet import Band, Handles
from probe.plots.style import LineStyle, style_of, wrap_name
from probe.results.charts import Curve, byte_curves, pareto_front
from probe.results.formats import metric_title, round_steps
from probe.results.leaderboard import Leaderboard, Row

__all__ = ["byte_bands", "has_bytes"]

_FRONT = "Pareto front: nothing smaller scores as much"


def has_bytes(result: Leaderboard) -> bool:
    """Return whether sizes of stored vectors were compared."""
    return any(row.bytes is not None for row in result.rows)


def byte_bands(result: Leaderboard) -> list[Band]:
    """Return one panel per encoder."""
    encoders: dict[str, list[Row]] = {}
    for row in result.rows:
        if row.bytes is not None and not row.rescore:
            encoders.setdefault(row.encoder, []).append(row)
    return [Band(4.2, (partial(_fill, result, rows),), shared=False) for rows in encoders.values()]


def _fill(result: Leaderboard, rows: Sequence[Row], axes: Axes) -> Handles:
    curves = byte_curves(rows, result.metric)
    handles: dict[str, object] = {}
    for curve, style in zip(curves, _styles(curves), strict=True):
        _draw(axes, curve, style)
        handles[curve.name] = sample(style, all(point.transductive for point in curve.points))
    sizes = [float(row.bytes or 1) for row in rows]
    scored = [(size, row.scores[result.metric]) for size, row in zip(sizes, rows, strict=True)]
    handles[_FRONT] = draw_front(axes, [scored[number] for number in pareto_front(scored)], max(sizes))
    axes.set_xscale("log")
    ticks = round_steps(min(sizes), max(sizes))
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_major_formatter(FixedFormatter([f"{tick:,.0f}" for tick in ticks]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("bytes per document (log)")
    axes.set_ylabel(f"{metric_title(result.metric)}, 95% CI")
    axes.set_title(wrap_name(rows[0].encoder, 100))
    return {**handles, **mark_handles(point for curve in curves for point in curve.points)}


def _styles(curves: Sequence[Curve]) -> list[LineStyle]:
    """Return the style of every curve: a colour and marker per bits, a line per kind of adaptor."""
    families = list(dict.fromkeys(curve.family for curve in curves))
    kinds = list(dict.fromkeys(curve.name.partition(",")[0] for curve in curves))
    return [style_of(families.index(curve.family), kinds.index(curve.name.partition(",")[0])) for curve in curves]


def _draw(axes: Axes, curve: Curve, style: LineStyle) -> None:
    positions = [point.position or 1 for point in curve.points]
    axes.plot(positions, [point.value for point in curve.points], color=style.colour, linestyle=style.line)
    for position, point in zip(positions, curve.points, strict=True):
        if point.interval is not None:
            axes.plot((position, position), point.interval, color=style.colour, linewidth=0.8, alpha=0.25)
    draw_marks(axes, [Mark(x, point.value, point) for x, point in zip(positions, curve.points, strict=True)], style)
