"""What a report says of probes on labelled texts."""

from collections.abc import Iterable
from pathlib import Path

from probe.board_texts import board_texts
from probe.cells import show_interval, significant
from probe.classify_board import SHUFFLED, ClassifyBoard
from probe.labelled_series import LabelledBoard, chart_labelled, measure_name
from probe.report_curves import curve_panel
from probe.report_panel import lay_out
from probe.report_parts import Section, make_table

__all__ = ["labelled_section"]


def labelled_section(board: LabelledBoard, source: Path) -> Section:
    """Return the section of trained probes, or of correlations with gold scores, read from a file."""
    models = " and ".join(model["name"] for model in board.settings["models"])
    what, texts = "Trained probes" if isinstance(board, ClassifyBoard) else "Similarity", board_texts(board)
    title = f"{what} of {models}: {measure_name(board)} on {board.settings['dataset']['name']}"
    chart, measure = chart_labelled(board), f"{measure_name(board)}, 95 % interval"
    panels = [curve_panel(f"{measure_name(board)} by layer", measure, chart)] if chart.curves else []
    return Section(
        title=title,
        source=source.name,
        command=board.command,
        created=board.created,
        summary=tuple(_summary(board)),
        warnings=tuple(_warnings(board)),
        settings=tuple(texts.notes),
        table=make_table(f"{title}, best first", texts.header, texts.cells, without=("curve",)),
        drawings=tuple(map(lay_out, panels)),
    )


def _summary(board: LabelledBoard) -> Iterable[str]:
    points = [point for curve in chart_labelled(board).curves for point in curve.points]
    if not points:
        return
    best = max(points, key=lambda point: point.value)
    yield (
        f"Best layer: {best.name} with {measure_name(board)} {best.value:.4f} "
        f"(95 % interval {show_interval(best.interval)})."
    )
    yield from (
        f"For comparison, {level.name}: {level.value:.4f} (95 % interval {show_interval(level.interval)})."
        for level in chart_labelled(board).singles
    )


def _warnings(board: LabelledBoard) -> Iterable[str]:
    data = board.settings["dataset"]
    if data["synthetic"]:
        yield f"synthetic ({data['synthetic']}): no person gave these labels or scores"
    if data["limited"]:
        yield "only a part of the texts was looked at"
    if any(row.p_value is not None for row in board.rows) and not significant(board.rows):
        yield "no significance: no layer differs from the full model by more than chance explains"
    yield from (f"collapsed: all texts have one vector at {row.encoder}" for row in board.rows if row.collapsed)
    if isinstance(board, ClassifyBoard):
        yield from _at_chance(board)


def _at_chance(board: ClassifyBoard) -> Iterable[str]:
    """Name the layers whose interval reaches down to what shuffled labels give."""
    accuracy = board.settings["metric"] == "accuracy"
    for row in board.rows:
        low = row.accuracy_ci95 if accuracy else row.macro_f1_ci95
        chance = row.shuffled_accuracy if accuracy else row.shuffled_macro_f1
        if row.control != SHUFFLED and low is not None and chance is not None and low[0] <= chance:
            yield f"at chance: {row.encoder} is not shown to be better than the same probe on shuffled labels"
