"""The section of a report on a leaderboard."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from probe.report.curves import MOST_LEVELS, Line, Panel, curve_panel, dot, lay_out
from probe.report.parts import Section, make_map, make_table
from probe.results.charts import COST, Point, chart_leaderboard, ladder_curves, pareto_front
from probe.results.formats import metric_title, show_interval, significant
from probe.results.leaderboard import Leaderboard, Row

__all__ = ["leaderboard_section"]

_MOST_NAMED = 8


def leaderboard_section(result: Leaderboard, source: Path) -> Section:
    """Return the section of a leaderboard read from a file."""
    data, metric = result.settings["dataset"], metric_title(result.metric)
    title = f"{_subject(result)}: {metric} on {data['name']} ({data['split']})"
    panels = (_layer_panel(result), _dimension_panel(result), _cost_panel(result))
    return Section(
        result=result,
        title=title,
        source=source.name,
        summary=tuple(_summary(result)),
        warnings=tuple(_warnings(result)),
        table=make_table(f"{title}, best first", *result.cells(), without=("curve",)),
        drawings=tuple(lay_out(panel) for panel in panels if panel is not None),
        maps=tuple(make_map(f"{metric}: {grid.caption}", grid.values, ".3f") for grid in result.grids()),
        encoders=tuple(map(_name, result.rows)),
    )


def _subject(result: Leaderboard) -> str:
    """Return what competes, in a few words."""
    models = " and ".join(model["name"] for model in result.settings["models"])
    if "recommended" in result.settings:
        return f"Adaptors on {models}"
    if chart_leaderboard(result).curves:
        return f"Layers of {models}"
    return f"Fusions of {models}" if result.grids() else f"Encoders of {models}"


def _name(row: Row) -> str:
    if row.adaptor is None:
        return row.encoder
    labels = "" if row.labels == "none" else f", labels of {row.labels}"
    return f"{row.encoder} with {row.adaptor}{labels}, {row.dim} dimensions"


def _summary(result: Leaderboard) -> Iterable[str]:
    if not result.rows:
        return
    best, metric = result.rows[0], metric_title(result.metric)
    interval = "" if best.ci95 is None else f" (95 % interval {show_interval(best.ci95)})"
    yield f"Best of {len(result.rows)}: {_name(best)} with {metric} {best.scores[result.metric]:.4f}{interval}."
    tested = [row for row in result.rows if row.p_value is not None]
    if tested:
        starred = significant(result.rows)
        better = sum(row.rank in starred and (row.delta or 0) > 0 for row in tested)
        worse = sum(row.rank in starred and (row.delta or 0) < 0 for row in tested)
        yield (
            f"Against the baseline {result.settings['baseline']}, {better} of {len(tested)} are significantly better "
            f"and {worse} significantly worse (p < 0.05 after Holm's correction)."
        )
    if result.settings.get("recommendation"):
        yield f"Recommendation: {result.settings['recommendation']}."


def _warnings(result: Leaderboard) -> Iterable[str]:
    data = result.settings["dataset"]
    if data["synthetic"]:
        yield f"synthetic queries ({data['synthetic']}): nobody asked them, so scores are not those of real searches"
    if data["limited"]:
        yield f"a part of the corpus: {data['documents']} documents were searched, and scores are higher than on all"
    if any(row.p_value is not None for row in result.rows) and not significant(result.rows):
        yield "no significance: no row differs from the baseline by more than chance explains"
    yield from result.warnings()


def _layer_panel(result: Leaderboard) -> Panel | None:
    chart = chart_leaderboard(result)
    if not chart.curves:
        return None
    measure = metric_title(result.metric)
    return curve_panel(f"{measure} by layer", f"{measure}, 95 % interval", chart)


def _dimension_panel(result: Leaderboard) -> Panel | None:
    encoders = dict.fromkeys(row.encoder for row in result.rows if row.adaptor is not None)
    curves = [
        (f"{encoder} with {curve.name}" if len(encoders) > 1 else curve.name, curve.points)
        for encoder in encoders
        for curve in ladder_curves([row for row in result.rows if row.encoder == encoder], result.metric)
    ]
    if max((len(points) for _, points in curves), default=0) < 2:
        return None
    return Panel(
        title=f"{metric_title(result.metric)} by dimension",
        x_label="dimensions kept",
        y_label=f"{metric_title(result.metric)}, 95 % interval",
        lines=tuple(Line(name, tuple(map(dot, points))) for name, points in curves),
        levels=tuple(
            (f"{row.encoder}, {row.dim} dimensions", row.scores[result.metric])
            for row in result.rows
            if row.adaptor is None
        )[:MOST_LEVELS],
    )


def _points(result: Leaderboard) -> list[Point]:
    chart = chart_leaderboard(result)
    return [*chart.singles, *(point for curve in chart.curves for point in curve.points)]


def _cost_panel(result: Leaderboard) -> Panel | None:
    """Return score against operations, with the front of what nothing as cheap beats."""
    priced = [point for point in _points(result) if point.cost is not None]
    if len({point.cost for point in priced}) < 2:
        return None
    front = pareto_front([(point.cost or 0.0, point.value) for point in priced])
    named = set(front[:: max(1, -(-len(front) // _MOST_NAMED))])
    dots = [
        replace(dot(point), x=point.cost or 0.0, interval=None, label=_label(point) if number in named else "")
        for number, point in enumerate(priced)
    ]
    rest = tuple(dot for number, dot in enumerate(dots) if number not in front)
    best = Line("Pareto front: nothing as cheap scores more", tuple(dots[number] for number in front))
    return Panel(
        title=f"{metric_title(result.metric)} against cost",
        x_label=COST,
        y_label=metric_title(result.metric),
        lines=(best, Line("others", rest, joined=False)) if rest else (best,),
    )


def _label(point: Point) -> str:
    """Return a short name."""
    if point.position is None:
        return point.name
    return f"layer {point.position}" + (f", {point.adaptor}" if point.adaptor else "")
