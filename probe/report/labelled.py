"""The section of a report on probes on labelled texts."""

from collections.abc import Iterable
from pathlib import Path

from probe.report.curves import curve_panel, lay_out
from probe.report.parts import Section, make_table
from probe.results.charts import LabelledResult, chart_labelled
from probe.results.classification import SHUFFLED, ClassificationResult
from probe.results.formats import show_interval, significant

__all__ = ["labelled_section"]


def labelled_section(result: LabelledResult, source: Path) -> Section:
    """Return the section of trained probes, or of correlations with gold scores, read from a file."""
    models = " and ".join(model["name"] for model in result.settings["models"])
    subject = "Trained probes" if isinstance(result, ClassificationResult) else "Similarity"
    title = f"{subject} of {models}: {result.measure} on {result.settings['dataset']['name']}"
    chart, measure = chart_labelled(result), f"{result.measure}, 95 % interval"
    panels = [curve_panel(f"{result.measure} by layer", measure, chart)] if chart.curves else []
    return Section(
        result=result,
        title=title,
        source=source.name,
        summary=tuple(_summary(result)),
        warnings=tuple(_warnings(result)),
        table=make_table(f"{title}, best first", *result.cells(), without=("curve",)),
        drawings=tuple(map(lay_out, panels)),
    )


def _summary(result: LabelledResult) -> Iterable[str]:
    points = [point for curve in chart_labelled(result).curves for point in curve.points]
    if not points:
        return
    best = max(points, key=lambda point: point.value)
    yield (
        f"Best layer: {best.name} with {result.measure} {best.value:.4f} "
        f"(95 % interval {show_interval(best.interval)})."
    )
    yield from (
        f"For comparison, {level.name}: {level.value:.4f} (95 % interval {show_interval(level.interval)})."
        for level in chart_labelled(result).singles
    )


def _warnings(result: LabelledResult) -> Iterable[str]:
    data = result.settings["dataset"]
    if data["synthetic"]:
        yield f"synthetic ({data['synthetic']}): no person gave these labels or scores"
    if data["limited"]:
        yield "only a part of the texts was looked at"
    if any(row.p_value is not None for row in result.rows) and not significant(result.rows):
        yield "no significance: no layer differs from the full model by more than chance explains"
    yield from (f"collapsed: all texts have one vector at {row.encoder}" for row in result.rows if row.collapsed)
    if isinstance(result, ClassificationResult):
        yield from _at_chance(result)


def _at_chance(result: ClassificationResult) -> Iterable[str]:
    """Name the layers whose interval reaches down to what shuffled labels give."""
    for row in result.rows:
        interval, chance = result.interval_of(row), result.chance_of(row)
        if row.control != SHUFFLED and interval is not None and chance is not None and interval[0] <= chance:
            yield f"at chance: {row.encoder} is not shown to be better than the same probe on shuffled labels"
