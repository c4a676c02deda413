"""Curves, levels and dots with their intervals on a pair of axes; their markers, and what a legend says of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from probe.plots.style import GREY, LineStyle, style_of, wrap_name
from probe.results.charts import Curve, Point

__all__ = [
    "Mark",
    "curve_styles",
    "draw_curves",
    "draw_dots",
    "draw_levels",
    "draw_marks",
    "level_style",
    "mark_handles",
    "sample",
]

_LEVEL_MARKERS = ("P", "X", "8", "H")
_LEVEL_LINES: tuple[Any, ...] = ((0, (7, 2)), (0, (1, 1.5)), (0, (5, 1.5, 1, 1.5)), (0, (3, 1, 1, 1, 1, 1)))
# Most characters of a line of a name beside its dot.
_NAME = 60


def curve_styles(curves: Sequence[Curve]) -> list[LineStyle]:
    """Return the style of every curve: colour and marker per family, a line per member, orange if adapted."""
    families = list(dict.fromkeys(curve.family for curve in curves))
    seen: dict[str, int] = {}
    styles = []
    for curve in curves:
        seen[curve.family] = seen.get(curve.family, -1) + 1
        styles.append(style_of(families.index(curve.family), seen[curve.family], adapted=curve.is_adapted))
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
    positions = [point.position or 0 for point in curve.points]
    (line,) = axes.plot(positions, [point.value for point in curve.points], color=style.colour, linestyle=style.line)
    line.set_label(curve.name)
    ends = [point.interval or (point.value, point.value) for point in curve.points]
    low, high = zip(*ends, strict=True)
    axes.fill_between(positions, low, high, color=style.colour, alpha=0.12, linewidth=0)
    axes.vlines(positions, low, high, color=style.colour, linewidth=0.9)
    draw_marks(axes, [Mark(point.position or 0, point.value, point) for point in curve.points], style)
    return sample(style, all(point.transductive for point in curve.points))


def level_style(number: int) -> LineStyle:
    """Return the style of what has no position on the axis."""
    return LineStyle(GREY, _LEVEL_MARKERS[number % len(_LEVEL_MARKERS)], _LEVEL_LINES[number % len(_LEVEL_LINES)])


def draw_levels(axes: Axes, points: Sequence[Point]) -> dict[str, Line2D]:
    """Draw what has no position on the axis as horizontal lines, with their intervals as bands.

    Args:
        axes: Where.
        points: What to draw.

    Returns:
        The lines by name, for a legend, with a marker where a cost gives the point a position in another panel.
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


def draw_dots(axes: Axes, points: Sequence[Point], score: str, *, baseline: str) -> dict[str, Line2D]:
    """Draw a line per encoder, the first at the top; return the vertical line of the baseline, if it is there."""
    for adapted in (False, True):
        style = style_of(0, adapted=adapted)
        marks = [
            Mark(point.value, number, point)
            for number, point in enumerate(points)
            if (point.adaptor is not None) is adapted
        ]
        for mark in marks:
            if mark.point.interval is not None:
                axes.plot(mark.point.interval, (mark.y, mark.y), color=style.colour, linewidth=1.2, marker="|")
        draw_marks(axes, marks, style)
    names = [wrap_name(f"#{rank} {point.name}", _NAME) for rank, point in enumerate(points, start=1)]
    axes.set_yticks(range(len(points)), names)
    axes.set_ylim(len(points) - 0.4, -0.6)
    axes.set_xlabel(score)
    axes.grid(visible=False, axis="y")
    frozen = [point for point in points if point.name == baseline]
    if not frozen:
        return {}
    return {f"baseline {baseline}": axes.axvline(frozen[0].value, color=GREY, linestyle="--", linewidth=1)}


@dataclass(frozen=True)
class Mark:
    """A point and where it stands in a picture."""

    x: float
    y: float
    point: Point


def draw_marks(axes: Axes, marks: Sequence[Mark], style: LineStyle) -> None:
    """Draw markers: hollow for transductive points, crossed out for collapsed ones."""
    for hollow in (False, True):
        shown = [mark for mark in marks if mark.point.transductive is hollow]
        fill = "white" if hollow else style.colour
        _scatter(axes, shown, marker=style.marker, color=style.colour, markerfacecolor=fill)
    _scatter(axes, [mark for mark in marks if mark.point.collapsed], marker="x", color="black", markersize=9, zorder=4)


def _scatter(axes: Axes, marks: Sequence[Mark], **options: Any) -> None:
    if marks:
        axes.plot([mark.x for mark in marks], [mark.y for mark in marks], linestyle="none", **options)


def sample(style: LineStyle, hollow: bool = False, **options: Any) -> Line2D:
    """Return a line with a marker, for a legend."""
    fill = "white" if hollow else style.colour
    return Line2D(
        [], [], color=style.colour, linestyle=style.line, marker=style.marker, markerfacecolor=fill, **options
    )


def mark_handles(points: Iterable[Point]) -> dict[str, Line2D]:
    """Return the legend of the marks that are there."""
    found, marks = list(points), {}
    if any(point.transductive for point in found):
        marks["hollow: fitted on these same documents"] = Line2D(
            [], [], color=GREY, marker="o", markerfacecolor="white", linestyle="none"
        )
    if any(point.collapsed for point in found):
        marks["collapsed: all vectors equal"] = Line2D(
            [], [], color="black", marker="x", markersize=8, linestyle="none"
        )
    return marks
