"""The sections of a report on what ends in the test of a goal: a search for a smaller model, and a gate."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from probe.report.cost import staircase
from probe.report.curves import lay_out
from probe.report.headline import Tile
from probe.report.panels import Dot, Level, Line, Panel
from probe.report.parts import Compared, Section, make_table
from probe.results.colours import tone_of
from probe.results.formats import (
    join_names,
    metric_title,
    p_words,
    round_steps,
    show_interval,
    show_number,
    show_signed_interval,
)
from probe.results.gate import GateResult, GateRow
from probe.results.slim import CANDIDATE, FULL, WIDE, WINNER, SlimResult, SlimRow

__all__ = ["gate_section", "slim_section"]

_FULL, _CANDIDATE = tone_of(0), tone_of(1)
_HEADINGS = {"lost": "Queries that lost most", "gained": "Queries that gained most"}
# In the order of their marks, which is the same in both charts.
_KINDS = {FULL: "full model", WINNER: "best candidate", CANDIDATE: "other candidates"}


def slim_section(result: SlimResult, source: Path) -> Section:
    """Return the section of a search read from a file."""
    data, metric = result.settings["dataset"], metric_title(result.metric)
    title = f"Smaller models of {result.name(result.full)} on {data['name']} ({data['split']})"
    return Section(
        result=result,
        title=title,
        source=source.name,
        summary=tuple(result.conclusions()),
        warnings=tuple(result.cautions()),
        table=make_table(f"{title}, the largest first", result, metric),
        tiles=tuple(_tiles(result)),
        drawings=(lay_out(_front_panel(result)), lay_out(_test_panel(result))),
        compared=tuple(
            Compared(result.name(row), rank, _KINDS[row.role]) for rank, row in enumerate((result.full, result.best), 1)
        ),
        headings=_HEADINGS,
    )


def _tiles(result: SlimResult) -> Iterable[Tile]:
    """Return the headline: quality, its test, speed and size of the best candidate."""
    best, full, metric = result.best, result.full, metric_title(result.metric)
    name = result.name(best)
    scores = f"{best.scores[result.metric]:.4f} against {full.scores[result.metric]:.4f}"
    interval = () if best.ci95 is None else (f"95% CI {show_interval(best.ci95)}",)
    if result.share is not None:
        yield Tile(
            "Quality", f"{result.share:.1%}", f"of the full model's {metric}", name, (scores, *interval), _CANDIDATE
        )
    if best.p_value is not None:
        lines = (f"difference {show_number(best.delta, '+.4f')}", "on the test queries, used once")
        yield Tile("Test", p_words(best.p_value), result.loss_words(), name, lines, _CANDIDATE)
    if best.speed is not None:
        yield Tile(
            "Speed", f"{best.speed:.1f}x", "documents per second", name, tuple(_time_lines(best, full)), _CANDIDATE
        )
    lines = (
        f"full model {full.megabytes:.1f} MB",
        f"{best.parameters / 1e6:.1f}M of {full.parameters / 1e6:.1f}M parameters",
    )
    yield Tile("Size", f"{best.megabytes:.1f} MB", "of weights", name, lines, _CANDIDATE)


def _time_lines(best: SlimRow, full: SlimRow) -> Iterable[str]:
    for own, other, unit in (
        (best.ms_per_query, full.ms_per_query, "query"),
        (best.ms_per_document, full.ms_per_document, "document"),
    ):
        if own is not None and other is not None:
            yield f"{own:.2f} ms per {unit} against {other:.2f}"


def _front_panel(result: SlimResult) -> Panel:
    """Return the estimates by size, with the front of models that nothing smaller beats."""
    sizes = [row.megabytes for row in result.rows]
    wide = max(sizes) > WIDE * min(sizes)
    front = [(row.megabytes, row.estimate or 0.0) for row in result.front]
    demanded = () if result.demanded is None else (Level("share demanded", result.demanded),)
    return Panel(
        title="Estimates by size, by which the candidate was chosen",
        x_label=_size_label(wide),
        y_label=f"{metric_title(result.metric)}, share of the full model's",
        lines=tuple(_lines(result)),
        levels=demanded,
        logarithmic_across=wide,
        ticks=_ticks(sizes) if wide else (),
        front=staircase(front, max(sizes)) if front else (),
    )


def _lines(result: SlimResult) -> Iterable[Line]:
    for role, kind in _KINDS.items():
        rows = [row for row in result.rows if row.role == role]
        if rows:
            yield Line(kind, tuple(_dot(row, result) for row in rows), joined=False, tone=_tone(role))


def _tone(role: str) -> int:
    return _FULL if role == FULL else _CANDIDATE


def _dot(row: SlimRow, result: SlimResult) -> Dot:
    estimate = row.estimate or 0.0
    speed = "" if row.speed is None else f", {row.speed:.1f} times as many documents per second"
    tip = f"{result.name(row)}: {estimate:.1%} of the full model's score, {row.megabytes:.1f} MB{speed}"
    return Dot(row.megabytes, estimate, tip, label=result.name(row))


def _test_panel(result: SlimResult) -> Panel:
    """Return the test scores by size, of the full model and the best candidate."""
    metric, margin = metric_title(result.metric), result.settings["margin"]
    rows = (result.full, result.best)
    sizes = [row.megabytes for row in rows]
    wide = max(sizes) > WIDE * min(sizes)
    lines = tuple(Line(_KINDS[row.role], (_test_dot(row, result),), joined=False, tone=_tone(row.role)) for row in rows)
    least = result.full.scores[result.metric] - (margin or 0.0)
    return Panel(
        title="Scores on the test queries",
        x_label=_size_label(wide),
        y_label=f"{metric}, 95% CI",
        lines=lines,
        levels=() if margin is None else (Level("full model less the margin", least),),
        logarithmic_across=wide,
        ticks=_ticks(sizes) if wide else (),
    )


def _test_dot(row: SlimRow, result: SlimResult) -> Dot:
    score = row.scores[result.metric]
    interval = "" if row.ci95 is None else f" ({show_interval(row.ci95)})"
    return Dot(row.megabytes, score, f"{result.name(row)}: {score:.4f}{interval}", row.ci95, label=result.name(row))


def _size_label(wide: bool) -> str:
    return "megabytes of weights (log)" if wide else "megabytes of weights"


def _ticks(sizes: Sequence[float]) -> tuple[tuple[float, str], ...]:
    return tuple((step, f"{step:,g}") for step in round_steps(min(sizes), max(sizes)))


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
        tiles=tuple(_gate_tiles(result)),
        drawings=(lay_out(_difference_panel(result)),),
    )


def _gate_tiles(result: GateResult) -> Iterable[Tile]:
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


def _difference_panel(result: GateResult) -> Panel:
    """Return the differences on every data set."""
    margins = {row.margin for row in result.rows}
    levels = [Level("baseline", 0.0), *(Level("what may be lost", -margin) for margin in margins if len(margins) == 1)]
    return Panel(
        title="Difference to the baseline, with its 95% CI",
        x_label="data set",
        y_label=f"difference in {metric_title(result.metric)}",
        lines=(Line(result.candidate, tuple(_difference_dot(*one) for one in enumerate(result.rows)), joined=False),),
        levels=tuple(levels),
        ticks=tuple((number, row.dataset) for number, row in enumerate(result.rows)),
    )


def _difference_dot(number: int, row: GateRow) -> Dot:
    tip = f"{row.name}: {show_number(row.delta, '+.4f')} ({show_signed_interval(row.delta_ci95)}), {row.outcome}"
    return Dot(number, row.delta, tip, row.delta_ci95, hollow=row.outcome == "not tested")
