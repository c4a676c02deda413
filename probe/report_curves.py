"""Curves over layers in a report."""

from collections.abc import Iterable

from probe.charts import Chart, Point
from probe.report_panel import Dot, Line, Panel

__all__ = ["curve_panel", "dot", "levels"]

# More could not be told apart.
_MOST_LEVELS = 4


def curve_panel(title: str, measure: str, chart: Chart) -> Panel:
    """Return the panel of a measure by layer.

    Args:
        title: What it shows.
        measure: What is measured, with its unit.
        chart: Curves, of which there is one at least, and what has no layer.

    Returns:
        The panel.
    """
    return Panel(
        title=title,
        x_label="layer (0 = embeddings)",
        y_label=measure,
        lines=tuple(Line(curve.name, tuple(map(dot, curve.points))) for curve in chart.curves),
        levels=levels(chart.singles),
        whole=True,
    )


def levels(points: Iterable[Point]) -> tuple[tuple[str, float], ...]:
    """Return names and heights of the first points."""
    return tuple((point.name, point.value) for point in points)[:_MOST_LEVELS]


def dot(point: Point) -> Dot:
    """Return a point with what it says when pointed at."""
    interval = "" if point.interval is None else f" ({point.interval[0]:.3f}–{point.interval[1]:.3f})"
    cost = "" if point.cost is None else f", {point.cost:.2f} ms per document"
    marks = {"collapsed": point.collapsed, "transductive": point.transductive}
    marked = "".join(f", {mark}" for mark, holds in marks.items() if holds)
    tip = f"{point.name}: {point.value:.4f}{interval}{cost}{marked}"
    return Dot(point.place or 0, point.value, tip, point.interval, hollow=any(marks.values()))
