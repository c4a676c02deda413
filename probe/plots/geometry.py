"""The picture of the geometry of layers: a panel per measure, the spectra, and how alike the layers are."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from probe.errors import CallError
from probe.plots.curves import Mark, draw_marks, mark_handles, sample
from probe.plots.heat_map import draw_cells, name_cells
from probe.plots.sheet import Band, Handles, Panel, stack
from probe.plots.style import MAP_COLOURS, Picture, house_style, result_title, style_of, wrap_name
from probe.results.charts import Point
from probe.results.geometry import GeometryResult, GeometryRow

__all__ = ["draw"]

_COLUMNS = 3
_HEIGHT = 2.25
# The lightest colours are lost on white paper.
_LIGHTEST = 0.85
# Smaller shares are rounding.
_FLOOR = 1e-7
_SHORT = 20

_Group = tuple[str, list[GeometryRow]]

_MEASURES: tuple[tuple[str, Callable[[GeometryRow], float | None]], ...] = (
    ("mean cosine (anisotropy)\nlower is better", lambda row: row.mean_cosine),
    ("effective rank / dimensions\nhigher is better", lambda row: row.effective_rank / row.dim),
    ("norm, ± standard deviation\nneither direction is better", lambda row: row.norm),
    ("alignment of relevant pairs\nlower is better", lambda row: row.alignment),
    ("uniformity\nlower is better", lambda row: row.uniformity),
)


def draw(result: GeometryResult) -> Picture:
    """Draw the geometry of layers.

    Raises:
        CallError: It has no rows.
    """
    if not result.rows:
        raise CallError("nothing to draw: no layer was measured")
    groups = list(result.by_model().items())
    with house_style():
        bands = _measure_bands(groups)
        if len(result.rows) > 1:
            bands.append(Band(min(5.2, 1.2 + 0.33 * len(result.rows)), (partial(_fill_cka, result, groups),)))
        return stack(bands, result_title(result.settings, "geometry of layers"))


def _measure_bands(groups: Sequence[_Group]) -> list[Band]:
    rows = [row for _, found in groups for row in found]
    there = [(name, read) for name, read in _MEASURES if any(read(row) is not None for row in rows)]
    measures: list[Panel] = [partial(_fill_measure, groups, name, read=read) for name, read in there]
    spectra: list[Panel] = [partial(_fill_spectrum, group, max(row.layer for row in rows)) for group in groups]
    first, second = measures[:_COLUMNS], measures[_COLUMNS:]
    if len(spectra) == 1:
        return [Band(_HEIGHT, tuple(panels)) for panels in (first, [*second, *spectra])]
    starts, columns = range(0, len(spectra), _COLUMNS), min(_COLUMNS, len(spectra))
    rest = [Band(_HEIGHT, tuple(spectra[start : start + _COLUMNS]), columns) for start in starts]
    return [Band(_HEIGHT, tuple(first)), Band(_HEIGHT, tuple(second)), *rest]


def _fill_measure(
    groups: Sequence[_Group], name: str, axes: Axes, *, read: Callable[[GeometryRow], float | None]
) -> Handles:
    handles = {}
    for number, (group, rows) in enumerate(groups):
        style = style_of(number)
        marks = [Mark(row.layer, value, _point(row, value)) for row in rows if (value := read(row)) is not None]
        axes.plot([mark.x for mark in marks], [mark.y for mark in marks], color=style.colour, linestyle=style.line)
        draw_marks(axes, marks, style)
        handles[group] = sample(style)
        if name.startswith("norm"):
            _draw_deviation(axes, rows, style.colour)
    axes.set_title(name)
    axes.set_xlabel("layer")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=7, min_n_ticks=1))
    return {**handles, **mark_handles(_point(row, 0) for _, rows in groups for row in rows)}


def _point(row: GeometryRow, value: float) -> Point:
    return Point(row.encoder, value, row.layer, collapsed=row.collapsed)


def _draw_deviation(axes: Axes, rows: Sequence[GeometryRow], colour: str) -> None:
    low = [row.norm - row.norm_deviation for row in rows]
    high = [row.norm + row.norm_deviation for row in rows]
    axes.fill_between([row.layer for row in rows], low, high, color=colour, alpha=0.15, linewidth=0)


def _fill_spectrum(group: _Group, deepest: int, axes: Axes) -> Handles:
    name, rows = group
    shades = ScalarMappable(Normalize(0, deepest / _LIGHTEST or 1), MAP_COLOURS)
    for row in rows:
        axes.plot(range(1, len(row.spectrum) + 1), row.spectrum, color=shades.to_rgba(np.array(row.layer)), linewidth=1)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylim(max(_FLOOR, min(share for row in rows for share in row.spectrum)), 1.5)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda axis, _: f"{axis:g}"))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g}%"))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_formatter(NullFormatter())
    axes.set_title((f"spectrum, {name}" if len(name) < _SHORT else "spectrum") + "\nflatter is better")
    axes.set_ylabel("share of the energy")
    axes.set_xlabel("principal axis")
    bar = axes.figure.colorbar(shades, ax=axes, label="layer", pad=0.02, fraction=0.08)
    bar.ax.set_ylim(0, deepest or 1)
    bar.ax.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    return {}


def _fill_cka(result: GeometryResult, groups: Sequence[_Group], axes: Axes) -> Handles:
    layers = [row.layer for _, rows in groups for row in rows]
    order = [result.rows.index(row) for _, rows in groups for row in rows]
    values = np.array(result.cka)[np.ix_(order, order)]
    mesh = draw_cells(axes, values, (math.floor(10 * min(values.min(), 0.9)) / 10, 1))
    name_cells(axes, layers, layers)
    axes.set_title("linear CKA of layers (1 = equal up to rotation, scale and shift)")
    ends = [0, *accumulate(len(rows) for _, rows in groups)]
    for (name, _), (start, end) in zip(groups, pairwise(ends), strict=True):
        middle, words = (start + end) / 2, wrap_name(name, 3 * (end - start) + 6)
        _name_block(axes, words, at=(0, middle), offset=(-20, 0), rotation=90, ha="right", va="center")
        _name_block(axes, words, at=(middle, len(layers)), offset=(0, -17), ha="center", va="top")
    for end in ends[1:-1]:
        axes.axhline(end, color="black", linewidth=1.2)
        axes.axvline(end, color="black", linewidth=1.2)
    axes.figure.colorbar(mesh, ax=axes, label="CKA", pad=0.01, fraction=0.03)
    return {}


def _name_block(
    axes: Axes, words: str, *, at: tuple[float, float], offset: tuple[float, float], **options: Any
) -> None:
    """Write beside a map: this many points away from a position in it."""
    axes.annotate(words, at, offset, textcoords="offset points", annotation_clip=False, **options)
