"""The picture of a search for a smaller model: estimates against sizes, and the test of the best candidate."""

from functools import partial

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator, PercentFormatter

from probe.plots.cost import FRONT
from probe.plots.sheet import Band, Handles, stack
from probe.plots.style import GREY, LineStyle, Picture, house_style, result_title, style_of, wrap_name
from probe.results.formats import metric_title, p_words, round_steps, show_number
from probe.results.slim import CANDIDATE, FULL, WIDE, WINNER, SlimResult, SlimRow

__all__ = ["draw"]

_FULL = style_of(0)
_CANDIDATE = style_of(1)
_BEST = LineStyle(_CANDIDATE.colour, "*", "none")
_BEST_SIZE = 13
_KINDS = {FULL: "full model", CANDIDATE: "candidate", WINNER: "best candidate"}
# Room at the left end of the axis of sizes, for the label of the smallest model.
_MARGIN = 0.12
_NAME = 34


def draw(result: SlimResult) -> Picture:
    """Draw a search."""
    title = f"Smaller models of {result.name(result.full)}"
    with house_style():
        bands = [Band(3.4, (partial(_fill_front, result),)), Band(1.35, (partial(_fill_test, result),))]
        return stack(bands, result_title(result.settings, title))


def _fill_front(result: SlimResult, axes: Axes) -> Handles:
    """Draw the estimate of every model against its size."""
    handles: dict[str, Line2D] = {}
    # From the lowest to the highest: labels that meet are lifted in this order.
    for row in sorted(result.rows, key=lambda row: row.estimate or 0.0):
        handles[_KINDS[row.role]] = _mark(row, result, axes)
    handles = {kind: handles[kind] for kind in _KINDS.values() if kind in handles}
    handles |= _draw_front(result, axes)
    if result.demanded is not None:
        line = axes.axhline(result.demanded, color=GREY, linestyle="--", linewidth=1)
        handles[f"demanded: {result.demanded:.1%}"] = line
    axes.set_title("estimates, by which the candidate was chosen")
    axes.set_ylabel(f"{metric_title(result.metric)} as a share of\nthe full model's")
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.margins(x=_MARGIN, y=0.12)
    _scale([row.megabytes for row in result.rows], axes)
    return handles


def _mark(row: SlimRow, result: SlimResult, axes: Axes) -> Line2D:
    """Draw a model with its name."""
    style, place = _style(row), (row.megabytes, row.estimate or 0.0)
    size = _BEST_SIZE if row.role == WINNER else None
    (mark,) = axes.plot(*place, color=style.colour, marker=style.marker, linestyle="none", markersize=size)
    named = row.role in (FULL, WINNER)
    # Up and left of the front there is nothing else, and right of the full model, the largest, there is no room.
    is_left = row.role == FULL or (named and row.front)
    shift, across, up = ((-6, 5), "right", "bottom") if is_left else ((6, -3), "left", "top")
    axes.annotate(
        result.name(row),
        place,
        shift,
        textcoords="offset points",
        ha=across,
        va=up,
        fontsize=8,
        fontweight="bold" if named else "normal",
    )
    return mark


def _style(row: SlimRow) -> LineStyle:
    return {FULL: _FULL, WINNER: _BEST}.get(row.role, _CANDIDATE)


def _draw_front(result: SlimResult, axes: Axes) -> Handles:
    largest = max(row.megabytes for row in result.rows)
    sizes = [*(row.megabytes for row in result.front), largest]
    estimates = [row.estimate or 0.0 for row in result.front]
    (line,) = axes.plot(
        sizes, [*estimates, *estimates[-1:]], drawstyle="steps-post", color="0.7", linewidth=3, zorder=1.5
    )
    return {FRONT: line}


def _scale(sizes: list[float], axes: Axes) -> None:
    """Label the axis of sizes; it is logarithmic where they are far apart."""
    least, top = min(sizes), max(sizes)
    if top <= WIDE * least:
        axes.set_xlabel("megabytes of weights")
        axes.set_xlim(left=0)
        return
    steps = round_steps(least / 2, top * 2)
    axes.set_xlabel("megabytes of weights (log)")
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(steps))
    axes.xaxis.set_major_formatter(FixedFormatter([f"{step:,g}" for step in steps]))
    axes.xaxis.set_minor_locator(NullLocator())


def _fill_test(result: SlimResult, axes: Axes) -> Handles:
    """Draw the test scores of the full model and the best candidate, one below the other."""
    rows = (result.full, result.best)
    for place, row in enumerate(rows):
        style, score = _style(row), row.scores[result.metric]
        if row.ci95 is not None:
            axes.plot(row.ci95, (place, place), color=style.colour, linewidth=1.2, marker="|")
        axes.plot(score, place, color=style.colour, marker=style.marker, markersize=_BEST_SIZE if place else None)
    axes.set_yticks(range(len(rows)), [wrap_name(result.name(row), _NAME) for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlabel(f"{metric_title(result.metric)}, 95% CI")
    axes.grid(visible=False, axis="y")
    axes.set_title(_test_title(result))
    margin = result.settings["margin"]
    if margin is None:
        return {}
    least = result.full.scores[result.metric] - margin
    return {
        f"full model less the margin of {margin:.4f}": axes.axvline(least, color=GREY, linestyle=":", linewidth=1.4)
    }


def _test_title(result: SlimResult) -> str:
    best = result.best
    tested = "" if best.p_value is None else f", non-inferiority {p_words(best.p_value)}"
    return f"test queries: difference {show_number(best.delta, '+.4f')}{tested}"
