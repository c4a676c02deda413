"""Markers of points, and what a legend says of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from probe.plots.style import GREY, LineStyle
from probe.results.charts import Point

__all__ = ["Mark", "draw_marks", "mark_handles", "sample"]


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
        marks["hollow: transductive"] = Line2D(
            [], [], color=GREY, marker="o", markerfacecolor="white", linestyle="none"
        )
    if any(point.collapsed for point in found):
        marks["collapsed: all vectors equal"] = Line2D(
            [], [], color="black", marker="x", markersize=8, linestyle="none"
        )
    return marks
