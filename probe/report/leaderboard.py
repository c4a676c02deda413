"""The section of a report on a leaderboard."""

from collections.abc import Sequence
from pathlib import Path

from probe.data.texts import spread
from probe.report.cost import byte_panel, cost_panel
from probe.report.curves import lay_out
from probe.report.headline import leaderboard_tiles
from probe.report.panels import INK, MOST_LEVELS, Level, Line, Panel, curve_panel, dot
from probe.report.parts import Compared, Section, make_map, make_table
from probe.results.charts import Curve, chart_leaderboard, ladder_curves
from probe.results.colours import tone_of
from probe.results.formats import metric_title
from probe.results.leaderboard import PCA, Leaderboard, Row
from probe.results.row import describe_bits

__all__ = ["dimension_panel", "layer_panel", "leaderboard_section", "subject"]

# Encoders that are shown per query: the baseline, and others evenly from the best to the worst.
_MOST_COMPARED = 14
_HEADINGS = {
    "divided": "Queries on which the encoders differ most",
    "worst": "Worst queries of the best encoder",
    "best": "Best queries of the best encoder",
}


def leaderboard_section(result: Leaderboard, source: Path) -> Section:
    """Return the section of a leaderboard read from a file."""
    data, metric = result.settings["dataset"], metric_title(result.metric)
    title = f"{subject(result)} on {data['name']} ({data['split']})"
    panels = (layer_panel(result), dimension_panel(result), byte_panel(result), cost_panel(result))
    return Section(
        result=result,
        title=title,
        source=source.name,
        summary=tuple(result.conclusions()),
        warnings=tuple(result.cautions()),
        table=make_table(f"{title}, best first", result, metric, without=("curve",)),
        tiles=leaderboard_tiles(result),
        drawings=tuple(lay_out(panel) for panel in panels if panel is not None),
        maps=tuple(make_map(f"{metric}: {grid.caption}", grid.values, ".3f") for grid in result.grids()),
        compared=_compared(result),
        headings=_HEADINGS,
    )


def _compared(result: Leaderboard) -> tuple[Compared, ...]:
    """Return the rows that are shown per query: the baseline first, then candidates, the best first."""
    first = sorted(result.emphasized())[:1]
    others = [index for index in range(len(result.rows)) if index not in first]
    shown = (*first, *(others[place] for place in spread(len(others), _MOST_COMPARED - len(first))))
    marked = result.emphasized()
    return tuple(
        Compared(_name(result.rows[index], result), result.rows[index].rank, "baseline" if index in marked else "")
        for index in shown
    )


def subject(result: Leaderboard) -> str:
    """Return what competes, in a few words."""
    models = " and ".join(model["name"] for model in result.settings["models"])
    if "recommended" in result.settings:
        return f"Adaptors on {models}"
    if chart_leaderboard(result).curves:
        return f"Layers of {models}"
    return f"Fusions of {models}" if result.grids() else f"Encoders of {models}"


def _name(row: Row, result: Leaderboard) -> str:
    size = f", {row.bytes} bytes ({describe_bits(row)})" if row.is_compressed else ""
    if row.adaptor is None:
        return f"{row.encoder}{size}"
    alike = [one for one in result.rows if (one.encoder, one.adaptor) == (row.encoder, row.adaptor)]
    labels = "" if row.labels == "none" else f", labels of {row.labels}"
    dims = f", {row.dim} dimensions" if len({one.dim for one in alike}) > 1 else ""
    return f"{row.encoder} with {row.adaptor}{labels}{dims}{size}"


def layer_panel(result: Leaderboard) -> Panel | None:
    """Return the chart of scores by layer, where there are layers."""
    chart = chart_leaderboard(result)
    if not chart.curves:
        return None
    measure = metric_title(result.metric)
    return curve_panel(f"{measure} by layer", f"{measure}, 95% CI", chart)


def dimension_panel(result: Leaderboard) -> Panel | None:
    """Return the chart of scores by dimension, where there are adaptors of several."""
    encoders = list(dict.fromkeys(row.encoder for row in result.rows if row.adaptor is not None))
    found = {
        encoder: ladder_curves([row for row in result.rows if row.encoder == encoder], result.metric)
        for encoder in encoders
    }
    curves = [curve for some in found.values() for curve in some]
    if max((len(curve.points) for curve in curves), default=0) < 2:
        return None
    kinds = sorted({curve.family for curve in curves} - {PCA})
    dims = sorted({point.position or 0 for curve in curves for point in curve.points})
    return Panel(
        title=f"{metric_title(result.metric)} by dimension",
        x_label="dimensions kept (log)",
        y_label=f"{metric_title(result.metric)}, 95% CI",
        lines=tuple(
            _ladder_line(curve, f"{encoder} with {curve.name}" if len(encoders) > 1 else curve.name, kinds)
            for encoder, some in found.items()
            for curve in some
        ),
        levels=tuple(
            Level(f"{row.encoder}, {row.dim} dimensions", row.scores[result.metric], tone=tone_of(0))
            for row in result.rows
            if row.adaptor is None and not row.is_compressed
        )[:MOST_LEVELS],
        logarithmic_across=True,
        ticks=tuple((float(dim), str(dim)) for dim in dims),
    )


def _ladder_line(curve: Curve, name: str, kinds: Sequence[str]) -> Line:
    tone = INK if curve.family == PCA else tone_of(kinds.index(curve.family), adapted=True)
    return Line(name, tuple(map(dot, curve.points)), tone=tone, dashed=curve.labels != "none")
