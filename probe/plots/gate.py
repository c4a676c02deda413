"""The picture of a gate: the difference on every data set with its interval, beside what may be lost."""

from functools import partial

from matplotlib.axes import Axes

from probe.plots.sheet import Band, Handles, stack
from probe.plots.style import GREY, Picture, house_style, style_of, wrap_name
from probe.results.formats import metric_title, p_words
from probe.results.gate import GateResult, GateRow

__all__ = ["draw"]

_STYLE = style_of(0)
_NAME = 34
# Inches of a row, and of the axis below.
_ROW, _AXIS = 0.4, 0.9


def draw(result: GateResult) -> Picture:
    """Draw a gate."""
    title = f"{result.candidate} in place of {result.baseline}: {'passed' if result.is_passed else 'not passed'}"
    with house_style():
        band = Band(_AXIS + _ROW * len(result.rows), (partial(_fill, result),))
        return stack([band], "\n".join(wrap_name(line, 2 * _NAME) for line in (title, result.settings["goal"])))


def _fill(result: GateResult, axes: Axes) -> Handles:
    handles: dict[str, object] = {}
    for place, row in enumerate(result.rows):
        if row.delta_ci95 is not None:
            (line,) = axes.plot(row.delta_ci95, (place, place), color=_STYLE.colour, linewidth=1.2, marker="|")
            handles["95% CI"] = line
        axes.plot(row.delta, place, color=_STYLE.colour, marker=_STYLE.marker, linestyle="none")
        ends = (place - 0.35, place + 0.35)
        (margin,) = axes.plot((-row.margin, -row.margin), ends, color=GREY, linestyle=":", linewidth=1.4)
        handles["margin"] = margin
    handles["baseline"] = axes.axvline(0, color=GREY, linewidth=1)
    axes.set_yticks(range(len(result.rows)), [_label(row) for row in result.rows])
    axes.set_ylim(len(result.rows) - 0.4, -0.6)
    axes.set_xlabel(f"difference in {metric_title(result.metric)} to the baseline")
    axes.grid(visible=False, axis="y")
    return handles


def _label(row: GateRow) -> str:
    tested = "" if row.p_value is None else f", {p_words(row.p_value)}"
    return f"{wrap_name(row.name, _NAME)}\n{row.outcome}{tested}"
