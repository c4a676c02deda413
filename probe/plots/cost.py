"""What a score costs: scores against operations, and the front that nothing beats at its cost."""

from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator, PercentFormatter

from probe.plots.curves import Mark, draw_marks
from probe.plots.style import LineStyle
from probe.results.charts import CostAxis, Point, cost_axis, costs_differ, pareto_front

__all__ = ["FRONT", "Priced", "draw_cost", "draw_front", "has_cost"]

# Share of the width left free at both ends, for the label of the first point.
_MARGIN = 0.08
FRONT = "Pareto front: nothing cheaper scores as much"


class Priced(NamedTuple):
    """A point, how it is drawn, and its label where it is on the front."""

    point: Point
    style: LineStyle
    label: str


def has_cost(priced: Sequence[Priced]) -> bool:
    """Return whether there is a cost to draw scores against."""
    return costs_differ(point.cost for point, _, _ in priced)


def draw_cost(axes: Axes, priced: Sequence[Priced], score: str) -> dict[str, Line2D]:
    """Draw scores against costs, leaving out what has none; return the front, for a legend."""
    known = [(point.cost, point.value, entry) for entry in priced if (point := entry.point).cost is not None]
    scale = cost_axis([cost for cost, _, _ in known])
    front = [known[number] for number in pareto_front([(cost, value) for cost, value, _ in known])]
    dearest = max(cost for cost, _, _ in known)
    line = draw_front(axes, [(scale.place(cost), value) for cost, value, _ in front], scale.place(dearest))
    for cost, value, (point, style, _) in known:
        draw_marks(axes, [Mark(scale.place(cost), value, point)], style)
    labelled: set[tuple[float, float]] = set()
    for cost, value, entry in front:
        if (cost, value) not in labelled:  # ties are labelled once
            _mark_front(axes, scale.place(cost), value, priced=entry)
        labelled.add((cost, value))
    axes.set_title(
        "score by cost (numbers are layers)" if any(e.point.position is not None for e in priced) else "score by cost"
    )
    axes.set_ylabel(score)
    _scale(axes, scale)
    return {FRONT: line}


def draw_front(axes: Axes, front: Sequence[tuple[float, float]], end: float) -> Line2D:
    """Draw a Pareto front as a staircase.

    Args:
        axes: Where.
        front: Positions and values, the cheapest first.
        end: Where the last step ends.
    """
    (line,) = axes.plot(
        [*(place for place, _ in front), end],
        [*(value for _, value in front), front[-1][1]],
        drawstyle="steps-post",
        color="0.7",
        linewidth=3,
        zorder=1.5,
    )
    return line


def _scale(axes: Axes, scale: CostAxis) -> None:
    axes.set_xlabel(scale.title)
    if not scale.logarithmic:
        axes.set_xlim(left=0)
        axes.xaxis.set_major_formatter(PercentFormatter(1, symbol=""))
        return
    axes.set_xscale("log")
    axes.margins(x=_MARGIN)
    axes.xaxis.set_major_locator(FixedLocator([place for place, _ in scale.ticks]))
    axes.xaxis.set_major_formatter(FixedFormatter([text for _, text in scale.ticks]))
    axes.xaxis.set_minor_locator(NullLocator())


def _mark_front(axes: Axes, cost: float, value: float, *, priced: Priced) -> None:
    """Write up and left of a point of the front, where by its definition no other point is."""
    if priced.point.interval is not None:
        axes.vlines(cost, *priced.point.interval, color=priced.style.colour, linewidth=0.9)
    axes.annotate(priced.label, (cost, value), (-4, 4), textcoords="offset points", ha="right", va="bottom", fontsize=8)
