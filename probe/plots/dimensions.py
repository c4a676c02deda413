"""The picture of a ladder of adaptors: score against dimension, a line per kind, a panel per encoder."""

from collections.abc import Mapping, Sequence
from functools import partial
from statistics import fmean
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from probe.plots.curves import Mark, draw_marks, mark_handles, sample
from probe.plots.sheet import Band, Handles
from probe.plots.style import LineStyle, style_of, wrap_name
from probe.results.charts import Curve, ladder_curves
from probe.results.colours import FROZEN
from probe.results.formats import metric_title
from probe.results.leaderboard import PCA, Leaderboard, Row

__all__ = ["is_ladder", "ladder_bands"]

_PCA = LineStyle("black", "s", "-")
_FROZEN = LineStyle(FROZEN.light, "", (0, (7, 2)))
# Side by side, so that intervals at one dimension do not cover each other: part of the way to the next dimension.
_SPREAD = 0.4


def is_ladder(result: Leaderboard) -> bool:
    """Whether some encoder has several kinds of adaptors, or one at several dimensions."""
    found: dict[str, set[tuple[str, str, int | None]]] = {}
    for row in result.rows:
        if row.adaptor is not None:
            found.setdefault(row.encoder, set()).add((row.adaptor, row.labels, row.dim))
    return "recommended" in result.settings or any(len(kinds) > 1 for kinds in found.values())


def ladder_bands(result: Leaderboard) -> list[Band]:
    """Return the panels of a leaderboard with adaptors, two side by side."""
    encoders: dict[str, list[Row]] = {}
    for row in result.rows:
        encoders.setdefault(row.encoder, []).append(row)
    styles = _styles(result)
    columns = min(2, len(encoders))
    panels = [partial(_fill, result, rows, styles=styles) for rows in encoders.values()]
    starts = range(0, len(panels), columns)
    return [
        Band(4.2 if columns == 1 else 3.2, tuple(panels[start : start + columns]), columns, shared=True)
        for start in starts
    ]


def _styles(result: Leaderboard) -> dict[str, LineStyle]:
    """Return the style of every curve, the best first: a colour and marker per kind, a line for its labels."""
    curves = sorted(ladder_curves(result.rows, result.metric), key=_mean, reverse=True)
    kinds = sorted({curve.family for curve in curves} - {PCA})
    labels = sorted({curve.labels for curve in curves}, key=lambda name: (name != "none", name))
    return {
        curve.name: _PCA
        if curve.family == PCA
        else style_of(kinds.index(curve.family), labels.index(curve.labels), adapted=True)
        for curve in curves
    }


def _mean(curve: Curve) -> float:
    return fmean(point.value for point in curve.points)


def _fill(result: Leaderboard, rows: Sequence[Row], axes: Axes, *, styles: Mapping[str, LineStyle]) -> Handles:
    order = list(styles)
    curves = sorted(ladder_curves(rows, result.metric), key=lambda curve: order.index(curve.name))
    handles: dict[str, Any] = _draw_frozen(axes, [row for row in rows if row.adaptor is None], result.metric)
    for number, curve in enumerate(curves):
        shift = _SPREAD * ((number + 0.5) / len(curves) - 0.5)
        _draw(axes, curve, styles[curve.name], shift=shift)
        recommended = curve.family == result.settings.get("recommended")
        name = f"{curve.name} (recommended)" if recommended else curve.name
        handles[name] = sample(styles[curve.name], all(point.transductive for point in curve.points))
    dims = sorted({point.position or 0 for curve in curves for point in curve.points})
    _scale(axes, dims)
    axes.set_title(_title(rows, 46 if len({row.encoder for row in result.rows}) > 1 else 100))
    axes.set_ylim(*_limits(result))
    axes.set_ylabel(f"{metric_title(result.metric)}, 95% CI")
    return {**handles, **mark_handles(point for curve in curves for point in curve.points)}


def _draw_frozen(axes: Axes, rows: Sequence[Row], metric: str) -> dict[str, Any]:
    for row in rows:
        line = axes.axhline(row.scores[metric], color=_FROZEN.colour, linestyle=_FROZEN.line)
        if row.ci95 is not None:
            axes.axhspan(*row.ci95, color=_FROZEN.colour, alpha=0.08, linewidth=0)
        return {"frozen encoder": line}
    return {}


def _draw(axes: Axes, curve: Curve, style: LineStyle, *, shift: float) -> None:
    positions = [(point.position or 0) * 2**shift for point in curve.points]
    width = 2.4 if curve.family == PCA else 1.2
    axes.plot(
        positions, [point.value for point in curve.points], color=style.colour, linestyle=style.line, linewidth=width
    )
    for position, point in zip(positions, curve.points, strict=True):
        if point.interval is not None:
            axes.plot((position, position), point.interval, color=style.colour, linewidth=0.8, alpha=0.6)
    draw_marks(axes, [Mark(x, point.value, point) for x, point in zip(positions, curve.points, strict=True)], style)


def _scale(axes: Axes, dims: Sequence[int]) -> None:
    axes.set_xscale("log", base=2)
    axes.set_xlabel("dimensions kept")
    if not dims:
        axes.set_xticks([])
        return
    axes.set_xlim(dims[0] * 2**-0.5, dims[-1] * 2**0.5)
    axes.xaxis.set_major_locator(FixedLocator(dims))
    axes.xaxis.set_major_formatter(FixedFormatter([f"{dim:,}" for dim in dims]))
    axes.xaxis.set_minor_locator(NullLocator())


def _limits(result: Leaderboard) -> tuple[float, float]:
    """Return limits that suit the panels of all encoders."""
    ends = [end for row in result.rows for end in (row.scores[result.metric], *(row.ci95 or ()))]
    margin = 0.04 * (max(ends) - min(ends)) or 0.05
    return min(ends) - margin, max(ends) + margin


def _title(rows: Sequence[Row], width: int) -> str:
    dims = [row.dim for row in rows if row.adaptor is None and row.dim is not None]
    frozen = f" ({dims[0]:,} dimensions)" if dims else ""
    return wrap_name(f"{rows[0].encoder}{frozen}", width)
