"""The section of a report on a gate."""

from collections.abc import Iterable
from pathlib import Path

from probe.report.curves import lay_out
from probe.report.headline import Tile
from probe.report.panels import Dot, Level, Line, Panel
from probe.report.parts import Section, make_table
from probe.results.formats import join_names, metric_title, p_words, show_number, show_signed_interval
from probe.results.gate import GateResult, GateRow

__all__ = ["gate_section"]


def gate_section(result: GateResult, source: Path) -> Section:
    """Return the section of a gate read from a file."""
    title = f"{result.candidate} in place of {result.baseline} on {join_names([row.name for row in result.rows])}"
    return Section(
        result=result,
        title=title,
        source=source.name,
        summary=tuple(result.conclusions()),
        warnings=tuple(result.cautions()),
        table=make_table(f"{title}; {result.settings['goal']}", result, "candidate"),
        tiles=tuple(_tiles(result)),
        drawings=(lay_out(_panel(result)),),
    )


def _tiles(result: GateResult) -> Iterable[Tile]:
    """Return the headline: whether it passes, and the data set that decides."""
    worst = max(result.rows, key=lambda row: (row.p_value is None, row.p_value or 0.0))
    passed = "passed" if result.is_passed else "not passed"
    tested = "no test" if worst.p_value is None else p_words(worst.p_value)
    yield Tile("Gate", passed, result.settings["goal"], result.candidate, (f"against {result.baseline}",))
    yield Tile("Test", tested, f"a loss of {worst.margin:.4f} or more", worst.name, (worst.outcome,))
    interval = () if worst.delta_ci95 is None else (f"95% CI {show_signed_interval(worst.delta_ci95)}",)
    yield Tile("Difference", show_number(worst.delta, "+.4f"), metric_title(result.metric), worst.name, interval)
    if worst.detectable is not None:
        lines = () if worst.needed is None else (f"the margin needs about {worst.needed:,}",)
        yield Tile("Queries", f"{worst.queries:,}", f"show margins of {worst.detectable:.2g}", worst.name, lines)


def _panel(result: GateResult) -> Panel:
    """Return the differences on every data set."""
    margins = {row.margin for row in result.rows}
    levels = [Level("baseline", 0.0), *(Level("what may be lost", -margin) for margin in margins if len(margins) == 1)]
    return Panel(
        title="Difference to the baseline, with its 95% CI",
        x_label="data set",
        y_label=f"difference in {metric_title(result.metric)}",
        lines=(Line(result.candidate, tuple(_dot(*one) for one in enumerate(result.rows)), joined=False),),
        levels=tuple(levels),
        ticks=tuple((number, row.dataset) for number, row in enumerate(result.rows)),
    )


def _dot(number: int, row: GateRow) -> Dot:
    tip = f"{row.name}: {show_number(row.delta, '+.4f')} ({show_signed_interval(row.delta_ci95)}), {row.outcome}"
    return Dot(number, row.delta, tip, row.delta_ci95, hollow=row.outcome == "not tested")
