"""Charts of the report as values: dots, lines, levels and the panels that hold them."""

from dataclasses import dataclass

from probe.results.charts import Chart, Point, curve_tones
from probe.results.colours import COLOURS
from probe.results.formats import show_interval, show_share

__all__ = ["INK", "MOST_LEVELS", "NEUTRAL", "Dot", "Level", "Line", "Panel", "curve_panel", "dot"]

# Tones beside the colours: of controls, and of text.
NEUTRAL = len(COLOURS)
INK = NEUTRAL + 1
# More levels could not be told apart.
MOST_LEVELS = 4


@dataclass(frozen=True)
class Dot:
    """One value.

    Attributes:
        x: Where it lies across.
        y: Its value.
        tip: Text of its tooltip.
        interval: Its 95% CI, if it has one.
        label: Written beside it, where it has to be found without pointing.
        hollow: Whether to read it with caution.
    """

    x: float
    y: float
    tip: str
    interval: tuple[float, float] | None = None
    label: str = ""
    hollow: bool = False


@dataclass(frozen=True)
class Line:
    """Dots of one name.

    Attributes:
        name: What the legend calls it.
        dots: In the order they are joined.
        joined: Whether a line runs through them.
        tone: Index of its colour.
        dashed: Whether the line is.
    """

    name: str
    dots: tuple[Dot, ...]
    joined: bool = True
    tone: int = 0
    dashed: bool = False


@dataclass(frozen=True)
class Level:
    """A value without a position across.

    Attributes:
        name: Its name in the legend.
        value: Its height.
        tone: Index of its colour.
    """

    name: str
    value: float
    tone: int = NEUTRAL


@dataclass(frozen=True)
class Panel:
    """A chart.

    Attributes:
        title: What it shows.
        x_label: Name of the horizontal axis, with its unit.
        y_label: Name of the vertical axis, with its unit.
        lines: What is drawn.
        levels: Values without a position across.
        whole: Whether only whole numbers are on the horizontal axis.
        logarithmic: Whether the vertical axis is.
        logarithmic_across: Whether the horizontal axis is.
        ticks: Positions on the horizontal axis with their labels; round values when left out.
        front: Corners of a staircase behind the dots, from left to right.
        span: Values that the vertical axis has room for, beside those that are drawn.
    """

    title: str
    x_label: str
    y_label: str
    lines: tuple[Line, ...]
    levels: tuple[Level, ...] = ()
    whole: bool = False
    logarithmic: bool = False
    logarithmic_across: bool = False
    ticks: tuple[tuple[float, str], ...] = ()
    front: tuple[tuple[float, float], ...] = ()
    span: tuple[float, ...] = ()

    @property
    def heights(self) -> list[float]:
        """All values that the vertical axis has room for."""
        dots = [dot for line in self.lines for dot in line.dots]
        ends = [y for dot in dots for y in (dot.y, *(dot.interval or ()))]
        return [*ends, *(level.value for level in self.levels), *self.span]


def curve_panel(title: str, measure: str, chart: Chart) -> Panel:
    """Return the panel of a measure by layer, of a chart with at least one curve."""
    return Panel(
        title=title,
        x_label="layer (0 = embeddings)",
        y_label=measure,
        lines=tuple(
            Line(curve.name, tuple(map(dot, curve.points)), tone=tone, dashed=curve.is_adapted)
            for curve, tone in zip(chart.curves, curve_tones(chart.curves), strict=True)
        ),
        levels=tuple(Level(point.name, point.value) for point in chart.singles)[:MOST_LEVELS],
        whole=True,
    )


def dot(point: Point) -> Dot:
    """Return a point with its tooltip."""
    interval = "" if point.interval is None else f" ({show_interval(point.interval)})"
    cost = "" if point.cost is None else f", {show_share(point.cost)} of the baseline's operations"
    marks = {"collapsed": point.collapsed, "fitted on these same documents": point.transductive}
    marked = "".join(f", {mark}" for mark, holds in marks.items() if holds)
    tip = f"{point.name}: {point.value:.4f}{interval}{cost}{marked}"
    return Dot(point.position or 0, point.value, tip, point.interval, hollow=any(marks.values()))
