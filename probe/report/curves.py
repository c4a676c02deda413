"""The layout of charts: every dot in the units of a drawing; the page does the styling."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from probe.report.panels import Dot, Panel

__all__ = ["Drawing", "PlacedDot", "lay_out"]

# The drawing's own units; the page scales it.
_WIDTH, _HEIGHT = 640, 340
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, _WIDTH - 14, 26, _HEIGHT - 46
_TICKS, _WHOLE_TICKS = 6, 13
_PADDING = 0.04
# About the size of a letter of a label.
_LETTER, _LINE = 7, 14
# An axis of positive values whose least is below this share of the greatest begins at zero.
_NEARLY_ZERO = 0.3


@dataclass(frozen=True)
class PlacedDot:
    """A dot in the drawing's units.

    Attributes:
        x: Its position across.
        y: Its height.
        low: The lower end of its interval.
        high: The upper end.
        dot: The dot.
        is_named: Whether there is room for its label.
    """

    x: float
    y: float
    low: float
    high: float
    dot: Dot
    is_named: bool = False

    @property
    def label_anchor(self) -> str:
        """Which end of its label is beside it; up and left of a Pareto front there is nothing else."""
        return "end" if self.x - self._label_width > _LEFT else "start"

    @property
    def label_x(self) -> float:
        """Where that end of its label lies."""
        return self.x + (-7 if self.label_anchor == "end" else 9)

    @property
    def label_y(self) -> float:
        """The height of its label."""
        return max(self.y - 7, _TOP + 9)

    @property
    def _label_width(self) -> float:
        return _LETTER * len(self.dot.label)

    def covers(self, other: "PlacedDot") -> bool:
        """Whether the labels of two dots meet."""
        if abs(self.label_y - other.label_y) >= _LINE:
            return False
        (left, right), (start, end) = self._label_ends(), other._label_ends()
        return left < end and start < right

    def _label_ends(self) -> tuple[float, float]:
        shift = -self._label_width if self.label_anchor == "end" else 0.0
        return self.label_x + shift, self.label_x + shift + self._label_width


@dataclass(frozen=True)
class Drawing:
    """A panel in the drawing's units.

    Attributes:
        panel: What is drawn.
        across: Positions and words of the horizontal axis.
        up: Positions and words of the vertical axis.
        lines: The dots of every line.
        levels: Heights of the panel's levels.
        front: Corners of the panel's staircase.
        box: Left, top, right and bottom of the field.
    """

    panel: Panel
    across: tuple[tuple[float, str], ...]
    up: tuple[tuple[float, str], ...]
    lines: tuple[tuple[PlacedDot, ...], ...]
    levels: tuple[float, ...]
    front: tuple[tuple[float, float], ...]
    box: tuple[int, int, int, int] = (_LEFT, _TOP, _RIGHT, _BOTTOM)

    @property
    def has_hollow(self) -> bool:
        """Whether the legend has to explain hollow dots."""
        return any(dot.hollow for line in self.panel.lines for dot in line.dots)


@dataclass(frozen=True)
class _Axis:
    """The values at the ends of an axis, and the positions of those ends."""

    low: float
    high: float
    start: int
    end: int
    logarithmic: bool = False

    def place(self, value: float) -> float:
        """Return where a value lies."""
        at = math.log10(value) if self.logarithmic else value
        return round(self.start + (self.end - self.start) * (at - self.low) / (self.high - self.low), 1)

    def ticks(self, whole: bool) -> tuple[tuple[float, str], ...]:
        """Return positions and words of round values."""
        if self.logarithmic:
            values = [10.0**power for power in range(math.ceil(self.low), math.floor(self.high) + 1)]
        else:
            values = _round_values(self.low, self.high, whole)
        return tuple((self.place(value), f"{value:g}") for value in values)


def lay_out(panel: Panel) -> Drawing:
    """Place the parts of a panel.

    Args:
        panel: With at least one dot; all values above zero on a logarithmic axis.
    """
    dots = [dot for line in panel.lines for dot in line.dots]
    positions = [math.log10(dot.x) if panel.logarithmic_across else dot.x for dot in dots]
    across = _Axis(*_ends(positions), _LEFT, _RIGHT, panel.logarithmic_across)
    logs = [math.log10(y) if panel.logarithmic else y for y in panel.heights]
    up = _Axis(*_ends(logs), _BOTTOM, _TOP, panel.logarithmic)

    def place(dot: Dot) -> PlacedDot:
        """Return a dot in the drawing's units."""
        low, high = dot.interval or (dot.y, dot.y)
        return PlacedDot(across.place(dot.x), up.place(dot.y), up.place(low), up.place(high), dot)

    return Drawing(
        panel,
        tuple((across.place(x), text) for x, text in panel.ticks) or across.ticks(panel.whole),
        up.ticks(whole=False),
        _name([[place(dot) for dot in line.dots] for line in panel.lines]),
        tuple(up.place(level.value) for level in panel.levels),
        tuple((across.place(x), up.place(y)) for x, y in panel.front),
    )


def _name(lines: Sequence[Sequence[PlacedDot]]) -> tuple[tuple[PlacedDot, ...], ...]:
    """Name the dots that have a label, but for those whose label would cover an earlier one."""
    named: list[PlacedDot] = []
    for one in (one for line in lines for one in line if one.dot.label):
        if not any(one.covers(other) for other in named):
            named.append(one)
    return tuple(tuple(replace(one, is_named=one in named) for one in line) for line in lines)


def _ends(values: Sequence[float]) -> tuple[float, float]:
    """Return the ends of an axis: a little more than the values need."""
    low, high = min(values), max(values)
    room = (high - low) * _PADDING or abs(high) * _PADDING or 1.0
    return (0.0 if 0 < low < _NEARLY_ZERO * high else low - room), high + room


def _round_values(low: float, high: float, whole: bool) -> list[float]:
    """Return some round values between two ends."""
    rough = (high - low) / (_WHOLE_TICKS if whole else _TICKS)
    power = 10 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough)
    step = max(1.0, math.ceil(step)) if whole else step
    first = math.ceil(low / step - 1e-9)
    return [round(number * step, 10) for number in range(first, math.floor(high / step + 1e-9) + 1)]
