"""Curves with their intervals, and levels, on a pair of axes."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from probe.plots.markers import Mark, draw_marks, sample
from probe.plots.style import GREY, LineStyle, style_of
from probe.results.charts import Curve, Point

__all__ = ["curve_styles", "draw_curve", "draw_curves", "draw_levels", "level_style"]

_LEVEL_MARKERS = ("P", "X", "8", "H")
_LEVEL_LINES: tuple[Any, ...] = ((0, (7, 2)), (0, (1, 1.5)), (0, (5, 1.5, 1, 1.5)), (0, (3, 1, 1, 1, 1, 1)))


def curve_styles(curves: Sequence[Curve]) -> list[LineStyle]:
    """Return the style of every curve: one colour and marker per family, one line per member."""
    families = list(dict.fromkeys(curve.family for curve in curves))
    seen: dict[str, int] = {}
    styles = []
    for curve in curves:
        seen[curve.family] = seen.get(curve.family, -1) + 1
        styles.append(style_of(families.index(curve.family), seen[curve.family]))
    return styles


def draw_curves(axes: Axes, curves: Sequence[Curve], score: str) -> dict[str, Line2D]:
    """Draw scores against layers; return the lines by name, for a legend."""
    lines = {
        curve.name: draw_curve(axes, curve, style) for curve, style in zip(curves, curve_styles(curves), strict=True)
    }
    axes.set_xlabel("layer (0 = embeddings)")
    axes.set_ylabel(score)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=14, steps=[1, 2, 5, 10], min_n_ticks=1))
    return lines


def draw_curve(axes: Axes, curve: Curve, style: LineStyle) -> Line2D:
    """Draw one curve, its intervals as a band."""
    places = [point.place or 0 for point in curve.points]
    (line,) = axes.plot(places, [point.value for point in curve.points], color=style.colour, linestyle=style.line)
    line.set_label(curve.name)
    ends = [point.interval or (point.value, point.value) for point in curve.points]
    low, high = zip(*ends, strict=True)
    axes.fill_between(places, low, high, color=style.colour, alpha=0.12, linewidth=0)
    axes.vlines(places, low, high, color=style.colour, linewidth=0.9)
    draw_marks(axes, [Mark(point.place or 0, point.value, point) for point in curve.points], style)
    return sample(style, all(point.transductive for point in curve.points))


def level_style(number: int) -> LineStyle:
    """Return the style of what has no place on the axis."""
    return LineStyle(GREY, _LEVEL_MARKERS[number % len(_LEVEL_MARKERS)], _LEVEL_LINES[number % len(_LEVEL_LINES)])


def draw_levels(axes: Axes, points: Sequence[Point]) -> dict[str, Line2D]:
    """Draw what has no place on the axis as horizontal lines, with their intervals as bands.

    Args:
        axes: Where.
        points: What to draw.

    Returns:
        The lines by name, for a legend, with a marker where a cost gives the point a place in another panel.
    """
    lines = {}
    for number, point in enumerate(points):
        style = level_style(number)
        axes.axhline(point.value, color=GREY, linestyle=style.line, linewidth=1.2)
        if point.interval is not None:
            axes.axhspan(*point.interval, color=GREY, alpha=0.08, linewidth=0)
        known = style if point.cost is not None else replace(style, marker="")
        lines[point.name] = sample(known, point.transductive, linewidth=1.2)
    return lines
