"""The section of a report on a search for a smaller model."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from probe.report.cost import staircase
from probe.report.curves import lay_out
from probe.report.headline import Tile
from probe.report.panels import Dot, Level, Line, Panel
from probe.report.parts import Compared, Section, make_table
from probe.results.colours import tone_of
from probe.results.formats import metric_title, round_steps, show_interval, show_number
from probe.results.slim import CANDIDATE, FULL, WIDE, WINNER, SlimResult, SlimRow, p_words

__all__ = ["slim_section"]

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
