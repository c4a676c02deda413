"""Encoders one below the other, each a dot with its interval."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from probe.plots.markers import Mark, draw_marks
from probe.plots.style import GREY, style_of, wrap_name
from probe.results.charts import Point

__all__ = ["draw_dots"]

_NAME = 60


def draw_dots(axes: Axes, points: Sequence[Point], score: str, *, baseline: str) -> dict[str, Line2D]:
    """Draw a line per encoder, the first at the top; return the vertical line of the baseline, if it is there."""
    style = style_of(0)
    for place, point in enumerate(points):
        if point.interval is not None:
            axes.plot(point.interval, (place, place), color=style.colour, linewidth=1.2, marker="|")
    draw_marks(axes, [Mark(point.value, place, point) for place, point in enumerate(points)], style)
    axes.set_yticks(
        range(len(points)), [wrap_name(f"#{place} {point.name}", _NAME) for place, point in enumerate(points, start=1)]
    )
    axes.set_ylim(len(points) - 0.4, -0.6)
    axes.set_xlabel(score)
    axes.grid(visible=False, axis="y")
    frozen = [point for point in points if point.name == baseline]
    if not frozen:
        return {}
    return {f"baseline {baseline}": axes.axvline(frozen[0].value, color=GREY, linestyle="--", linewidth=1)}
