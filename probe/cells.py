"""How numbers look in a table, whatever table it is."""

from collections.abc import Collection, Sequence
from typing import Any, Protocol

from rich import box
from rich.table import Table
from rich.text import Text

from probe.statistics import holm

__all__ = [
    "ALPHA",
    "draw_table",
    "show_bar",
    "show_curve",
    "show_interval",
    "show_number",
    "show_p_value",
    "significant",
    "statistics_lines",
]

ALPHA = 0.05

_BLOCKS = " ▏▎▍▌▋▊▉█"
_SPARKS = "▁▂▃▄▅▆▇█"
_BAR_WIDTH = 8


class Tested(Protocol):
    """A row with a place and the p-value of its test."""

    @property
    def rank(self) -> int:
        """1 for the best."""
        ...

    @property
    def p_value(self) -> float | None:
        """Uncorrected; None where nothing was tested."""
        ...


def show_number(value: float | None, form: str) -> str:
    """Return a number in a format, or a dash for None."""
    return "–" if value is None else format(value, form)


def show_p_value(value: float | None) -> str:
    """Return a p-value to three digits, or a dash for None."""
    return "–" if value is None else "<.001" if value < 0.001 else f"{value:.3f}"


def show_interval(bounds: tuple[float, float] | None) -> str:
    """Return both ends of an interval, or a dash for None."""
    return "–" if bounds is None else f"{bounds[0]:.3f}–{bounds[1]:.3f}"


def show_bar(value: float, top: float) -> str:
    """Return a bar whose length says how large `value` is, `top` being the longest."""
    eighths = round(_BAR_WIDTH * 8 * value / top) if top > 0 else 0
    full, rest = divmod(max(0, eighths), 8)
    return "█" * full + (_BLOCKS[rest] if rest else "")


def show_curve(label: str, scores: dict[int, float]) -> str:
    """Return a spark line of the score from the first layer to the last.

    Args:
        label: Model and pooling.
        scores: Score per layer.
    """
    layers = sorted(scores)
    top = max(scores.values()) or 1.0
    sparks = "".join(_SPARKS[max(0, min(7, int(8 * scores[layer] / top)))] for layer in layers)
    return f"layer curve {label}  {layers[0]} {sparks} {layers[-1]}"


def significant(rows: Sequence[Tested]) -> set[int]:
    """Return the ranks whose difference stands after Holm's correction over the table."""
    tested = [(row.rank, row.p_value) for row in rows if row.p_value is not None]
    corrected = holm([p for _, p in tested])
    return {rank for (rank, _), p in zip(tested, corrected, strict=True) if p < ALPHA}


def draw_table(title: str, header: Sequence[str], lines: Sequence[Sequence[str]], left: Collection[str]) -> Table:
    """Return a table whose cells are never wrapped.

    Args:
        title: Above it.
        header: Names of the columns.
        lines: Cells of every row.
        left: Columns set flush left; the others are numbers.
    """
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), header_style="bold")
    for name in header:
        table.add_column(name, justify="left" if name in left else "right", no_wrap=True)
    for line in lines:
        table.add_row(*[Text(cell) for cell in line])
    return table


def statistics_lines(statistics: dict[str, Any], baseline: str) -> list[str]:
    """Return how intervals and tests were made, and by which versions, for a footer."""
    return [
        f"95 %: {statistics['interval']}; p: {statistics['test']}, against {baseline}; "
        f"{statistics['resamples']} resamples, seed {statistics['seed']}; * = p < {ALPHA} after Holm's correction",
        "versions: " + ", ".join(f"{name} {number}" for name, number in statistics["versions"].items()),
    ]
