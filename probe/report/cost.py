"""The charts of score against cost and against bytes, each with its Pareto front as a staircase."""

from collections.abc import Container, Iterable, Sequence
from dataclasses import replace
from itertools import pairwise

from probe.report.panels import NEUTRAL, Dot, Line, Panel, dot
from probe.results.charts import (
    Chart,
    CostAxis,
    Point,
    byte_curves,
    chart_leaderboard,
    cost_axis,
    costs_differ,
    curve_tones,
    pareto_front,
)
from probe.results.colours import tone_of
from probe.results.formats import metric_title, round_steps
from probe.results.leaderboard import Leaderboard

__all__ = ["byte_panel", "cost_panel", "staircase"]

_MOST_NAMED = 8


def cost_panel(result: Leaderboard) -> Panel | None:
    """Return score against operations, with the front of encoders that nothing cheaper beats."""
    chart, measure = chart_leaderboard(result), metric_title(result.metric)
    points = [*chart.singles, *(point for curve in chart.curves for point in curve.points)]
    priced = [(point.cost, point) for point in points if point.cost is not None]
    costs = [cost for cost, _ in priced]
    if not costs_differ(costs):
        return None
    scale = cost_axis(costs)
    front = [priced[number] for number in pareto_front([(cost, point.value) for cost, point in priced])]
    named = {point for _, point in front[:: max(1, -(-len(front) // _MOST_NAMED))]}
    return Panel(
        title=f"{measure} by cost",
        x_label=scale.title,
        y_label=measure,
        lines=tuple(_lines(chart, scale, named)),
        logarithmic_across=scale.logarithmic,
        ticks=tuple((100 * place, text) for place, text in scale.ticks),
        front=staircase([(_place(cost, scale), point.value) for cost, point in front], _place(max(costs), scale)),
    )


def _place(cost: float, scale: CostAxis) -> float:
    """Return the position of a cost, in percent."""
    return 100 * scale.place(cost)


def _lines(chart: Chart, scale: CostAxis, named: Container[Point]) -> Iterable[Line]:
    groups: list[tuple[str, int, Sequence[Point]]] = [
        (curve.name, tone, curve.points) for curve, tone in zip(chart.curves, curve_tones(chart.curves), strict=True)
    ]
    plain = [point for point in chart.singles if point.adaptor is None]
    groups.append(("other encoders", NEUTRAL, plain) if chart.curves else ("encoders", tone_of(0), plain))
    adapted = [point for point in chart.singles if point.adaptor is not None]
    groups.append(("encoders with an adaptor", tone_of(0, adapted=True), adapted))
    for name, tone, points in groups:
        dots = tuple(_dots(points, scale, named))
        if dots:
            yield Line(name, dots, joined=False, tone=tone)


def _dots(points: Sequence[Point], scale: CostAxis, named: Container[Point]) -> Iterable[Dot]:
    for point in points:
        if point.cost is not None:
            label = _label(point) if point in named else ""
            yield replace(dot(point), x=_place(point.cost, scale), interval=None, label=label)


def _label(point: Point) -> str:
    """Return a short name."""
    if point.position is None:
        return point.name
    return f"layer {point.position}" + (f", {point.adaptor}" if point.adaptor else "")


def staircase(front: Sequence[tuple[float, float]], end: float) -> tuple[tuple[float, float], ...]:
    """Return the corners of a front, level from each point to the next and on to the dearest."""
    steps = [corner for (_, low), (x, high) in pairwise(front) for corner in ((x, low), (x, high))]
    return (front[0], *steps, (end, front[-1][1]))


def byte_panel(result: Leaderboard) -> Panel | None:
    """Return score against bytes per document, where sizes were compared."""
    rows = [row for row in result.rows if row.bytes is not None and not row.rescore]
    if not rows:
        return None
    curves = byte_curves(rows, result.metric)
    families = list(dict.fromkeys(curve.family for curve in curves))
    sizes = [row.bytes or 1 for row in rows]
    priced = [(float(row.bytes or 1), row.scores[result.metric]) for row in rows]
    front = [priced[number] for number in pareto_front(priced)]
    measure = metric_title(result.metric)
    return Panel(
        title=f"{measure} by size of a stored vector",
        x_label="bytes per document (log)",
        y_label=measure,
        lines=tuple(
            Line(
                curve.name,
                tuple(replace(dot(point), interval=None) for point in curve.points),
                tone=tone_of(families.index(curve.family)),
                dashed=curve.labels != "none",
            )
            for curve in curves
        ),
        logarithmic_across=True,
        ticks=tuple((tick, f"{tick:,.0f}") for tick in round_steps(min(sizes), max(sizes))),
        front=staircase(front, max(size for size, _ in priced)),
    )
