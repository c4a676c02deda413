"""Charts as values, and where their parts lie on the page; how they look is the page's work."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Axis", "Chart", "Mark", "Point", "Series", "lay_out"]

# The drawing's own units; the page scales it.
WIDTH, HEIGHT = 640, 340
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 14, 14, 46
_TICKS = 6
_WHOLE_TICKS = 13
_PADDING = 0.04


@dataclass(frozen=True)
class Point:
    """One value.

    Attributes:
        x: Where it lies across.
        y: Its value.
        tip: What it says when pointed at.
        interval: Its 95 % interval, if it has one.
        label: Written beside it, where it has to be found without pointing.
        hollow: Whether it is to be looked at with care.
    """

    x: float
    y: float
    tip: str
    interval: tuple[float, float] | None = None
    label: str = ""
    hollow: bool = False


@dataclass(frozen=True)
class Series:
    """Points of one name.

    Attributes:
        name: What the legend calls it.
        points: In the order they are joined.
        joined: Whether a line runs through them.
    """

    name: str
    points: tuple[Point, ...]
    joined: bool = True


@dataclass(frozen=True)
class Chart:
    """A chart.

    Attributes:
        title: What it shows.
        x_label: Name of the horizontal axis, with its unit.
        y_label: Name of the vertical axis, with its unit.
        series: What is drawn.
        levels: Values without a place across, as a name and a height.
        whole: Whether only whole numbers lie on the horizontal axis.
        logarithmic: Whether the vertical axis is.
    """

    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    levels: tuple[tuple[str, float], ...] = ()
    whole: bool = False
    logarithmic: bool = False


@dataclass(frozen=True)
class Mark:
    """A point in the drawing's units, with the ends of its interval."""

    x: float
    y: float
    low: float
    high: float
    point: Point


@dataclass(frozen=True)
class Axis:
    """The values that are written at an axis, with their places in the drawing's units."""

    ticks: tuple[tuple[float, str], ...]


@dataclass(frozen=True)
class Drawing:
    """A chart in the drawing's units.

    Attributes:
        chart: What is drawn.
        across: The horizontal axis.
        up: The vertical axis.
        marks: The marks of every series.
        levels: Names and heights of what has no place across.
        box: Left, top, right and bottom of the field.
    """

    chart: Chart
    across: Axis
    up: Axis
    marks: tuple[tuple[Mark, ...], ...]
    levels: tuple[tuple[str, float], ...]
    box: tuple[int, int, int, int] = (_LEFT, _TOP, WIDTH - _RIGHT, HEIGHT - _BOTTOM)


def lay_out(chart: Chart) -> Drawing:
    """Place the parts of a chart.

    Args:
        chart: With at least one point.

    Returns:
        The drawing.
    """
    points = [point for series in chart.series for point in series.points]
    scale = math.log10 if chart.logarithmic else float
    heights = [*(y for point in points for y in (point.y, *(point.interval or ()))), *(y for _, y in chart.levels)]
    across, up = _spread([point.x for point in points]), _spread([scale(y) for y in heights])

    def x_of(value: float) -> float:
        return round(_LEFT + (WIDTH - _LEFT - _RIGHT) * (value - across[0]) / (across[1] - across[0]), 1)

    def y_of(value: float) -> float:
        return round(HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * (scale(value) - up[0]) / (up[1] - up[0]), 1)

    def mark(point: Point) -> Mark:
        low, high = point.interval or (point.y, point.y)
        return Mark(x_of(point.x), y_of(point.y), y_of(low), y_of(high), point)

    heights_shown = _powers(*up) if chart.logarithmic else _round_values(*up, whole=False)
    return Drawing(
        chart,
        Axis(tuple((x_of(value), f"{value:g}") for value in _round_values(*across, whole=chart.whole))),
        Axis(tuple((y_of(value), f"{value:g}") for value in heights_shown)),
        tuple(tuple(map(mark, series.points)) for series in chart.series),
        tuple((name, y_of(value)) for name, value in chart.levels),
    )


def _spread(values: Sequence[float]) -> tuple[float, float]:
    """Return the ends of an axis: a little more than the values need."""
    low, high = min(values), max(values)
    room = (high - low) * _PADDING or abs(high) * _PADDING or 1.0
    # An axis that nearly reaches zero begins there.
    begins_at_zero = 0 <= low < 0.3 * high
    return (0.0 if begins_at_zero and low > 0 else low - room), high + room


def _round_values(low: float, high: float, whole: bool) -> list[float]:
    """Return some round values between two ends."""
    rough = (high - low) / (_WHOLE_TICKS if whole else _TICKS)
    power = 10 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough)
    step = max(1.0, math.ceil(step)) if whole else step
    first = math.ceil(low / step - 1e-9)
    return [round(number * step, 10) for number in range(first, math.floor(high / step + 1e-9) + 1)]


def _powers(low: float, high: float) -> list[float]:
    """Return the powers of ten between two exponents."""
    return [10.0**power for power in range(math.ceil(low), math.floor(high) + 1)]
