"""A matrix of dots: a row per encoder, a column per data set, the difference to the baseline as the position."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedFormatter, FixedLocator

from probe.plots.sheet import Band, Handles
from probe.plots.style import GREY, style_of, wrap_name
from probe.results.leaderboard import Row
from probe.results.matrix import MEAN, DatasetMatrix, SetScore

__all__ = ["dot_bands"]

# Most columns side by side.
_MOST_COLUMNS = 7
# Characters of a line of an encoder's name, and of a data set's.
_NAME, _SET = 34, 12
# Share of the axis that is left free at each end.
_MARGIN = 0.14
_INCH_PER_LINE = 0.19
# Share of the axis that parts two numbers below it.
_APART = 0.24


@dataclass(frozen=True)
class _Matrix:
    """What all columns share.

    Attributes:
        result: Whose rows are shown.
        rows: Those that are shown, the first at the top.
        names: Their names.
        heights: Their positions down, in lines of text.
        limits: The ends of the axis of differences.
    """

    result: DatasetMatrix
    rows: Sequence[Row]
    names: Sequence[str]
    heights: Sequence[float]
    limits: tuple[float, float]


def dot_bands(result: DatasetMatrix, rows: Sequence[Row]) -> list[Band]:
    """Return a column of dots for the mean and per data set, in as many bands as they need."""
    columns = [MEAN, *result.datasets]
    beside = math.ceil(len(columns) / math.ceil(len(columns) / _MOST_COLUMNS))
    names = _row_names(rows, result)
    limits = _limits([result.score_on(row, name).delta or 0.0 for row in rows for name in columns])
    lines = [name.count("\n") + 1 for name in names]
    heights = [before + (own - 1) / 2 for before, own in zip(accumulate([0, *lines]), lines, strict=False)]
    panels = [partial(_fill, _Matrix(result, rows, names, heights, limits), name) for name in columns]
    titles = max(_title(name, None).count("\n") for name in columns)
    height = 0.6 + 0.14 * titles + _INCH_PER_LINE * sum(lines)
    return [
        Band(height, tuple(panels[start : start + beside]), beside, shared=True)
        for start in range(0, len(panels), beside)
    ]


def _limits(deltas: Sequence[float]) -> tuple[float, float]:
    """Return the ends of the axis of differences, zero among them."""
    low, high = min(0.0, *deltas), max(0.0, *deltas)
    margin = _MARGIN * (high - low) or 0.01
    return low - margin, high + margin


def _row_names(rows: Sequence[Row], result: DatasetMatrix) -> list[str]:
    """Return the name of every row: that of its adaptor alone where all have one encoder."""
    is_one, has_dims = (len({getattr(row, key) for row in rows}) for key in ("encoder", "dim"))
    baselines = {result.rows[index].rank for index in result.emphasized()}
    names = []
    for row in rows:
        labels = "" if row.labels == "none" else f", labels {row.labels}"
        dims = f", {row.dim} dimensions" if has_dims > 1 else ""
        name = row.encoder
        if row.adaptor is not None:
            adaptor = f"{row.adaptor}{labels}{dims}"
            name = adaptor if is_one == 1 else f"{row.encoder} with {adaptor}"
        baseline = " (baseline)" if row.rank in baselines else ""
        names.append(wrap_name(f"#{row.rank} {name}{baseline}", _NAME))
    return names


def _title(name: str, score: float | None) -> str:
    """Return the title of a column: its data set, and the score that differences are measured from."""
    return f"{wrap_name(name, _SET)}\n{'' if score is None else f'{score:.3f}'}"


def _fill(matrix: _Matrix, name: str, axes: Axes) -> Handles:
    """Draw one column."""
    axes.axvline(0, color=GREY, linestyle="--", linewidth=1, zorder=1)
    base: float | None = None
    handles: dict[str, Line2D] = {}
    for height, row in zip(matrix.heights, matrix.rows, strict=True):
        score = matrix.result.score_on(row, name)
        if score.delta is None:
            base = score.score
            axes.plot([0], [height], color=GREY, marker="s", markersize=4, linestyle="none")
            handles["baseline, its score above each column"] = Line2D(
                [], [], color=GREY, marker="s", markersize=4, linestyle="--", linewidth=1
            )
        else:
            here = row if name == MEAN else (row.datasets or {})[name]
            handles |= _draw_dot(axes, (score.delta, height), score, row=here)
    axes.set_title(_title(name, base), fontsize=8)
    axes.set_yticks(matrix.heights, matrix.names)
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(matrix.heights[-1] + matrix.names[-1].count("\n") / 2 + 0.6, -0.6)
    axes.grid(visible=False, axis="x")
    axes.spines["left"].set_visible(False)
    _scale(axes, matrix.limits)
    return dict(sorted(handles.items()))


def _draw_dot(axes: Axes, place: tuple[float, float], score: SetScore, *, row: Row) -> Handles:
    """Draw a difference; return what the legend says of its fill, its shape and its colour."""
    style = style_of(0, adapted=row.adaptor is not None)
    is_filled = bool(score.sign)
    shape = "D" if row.transductive else "o"
    fill = style.colour if is_filled else "white"
    axes.plot(*place, color=style.colour, marker=shape, markerfacecolor=fill, linestyle="none")
    words = "filled: significant (paired test, Holm)" if is_filled else "hollow: not significant"
    if not is_filled and not score.is_tested:
        words = "hollow: not tested"
    handles = {words: _sample("black", "o", "black" if is_filled else "white")}
    handles["orange: with an adaptor" if row.adaptor else "blue: without an adaptor"] = _sample(
        style.colour, "o", style.colour
    )
    if row.transductive:
        handles["diamond: fitted on these same documents"] = _sample("black", "D", "white")
    if row.collapsed:
        axes.plot(*place, color="black", marker="x", markersize=9, linestyle="none", zorder=4)
        handles["collapsed: all vectors equal"] = _sample("black", "x", "black")
    return handles


def _sample(colour: str, marker: str, fill: str) -> Line2D:
    return Line2D([], [], color=colour, marker=marker, markerfacecolor=fill, linestyle="none")


def _scale(axes: Axes, limits: tuple[float, float]) -> None:
    """Mark zero, and one round difference on each side that has room for it."""
    axes.set_xlim(*limits)
    room = _APART * (limits[1] - limits[0])
    sides = [-_round_down(-limits[0]), _round_down(limits[1])]
    ticks = sorted({0.0, *(tick for tick in sides if abs(tick) >= room)})
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_major_formatter(FixedFormatter([_show(tick) for tick in ticks]))


def _round_down(end: float) -> float:
    """Return the greatest of 1, 2 and 5 times a power of ten that is no more than the end of an axis."""
    power = 10.0 ** math.floor(math.log10(end))
    return next(factor * power for factor in (5, 2, 1) if factor * power <= end)


def _show(tick: float) -> str:
    return f"{tick:+.3g}".replace("0.", ".").replace("-", "\N{MINUS SIGN}") if tick else "0"
