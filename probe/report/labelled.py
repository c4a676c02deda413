"""The section of a report on probes on labelled texts."""

from collections.abc import Iterable
from pathlib import Path

from probe.report.curves import lay_out
from probe.report.headline import labelled_tiles
from probe.report.panels import curve_panel
from probe.report.parts import Section, make_table
from probe.results.charts import LabelledResult, chart_labelled
from probe.results.classification import SHUFFLED, ClassificationResult
from probe.results.formats import show_interval

__all__ = ["labelled_section"]

_SIMILARITY = ("Similarity", "Spearman")


def labelled_section(result: LabelledResult, source: Path) -> Section:
    """Return the section of trained probes, or of correlations with gold scores, read from a file."""
    models = " and ".join(model["name"] for model in result.settings["models"])
    subject, score = ("Trained probes", result.measure) if isinstance(result, ClassificationResult) else _SIMILARITY
    title = f"{subject} of {models} on {result.settings['dataset']['name']}"
    chart, measure = chart_labelled(result), f"{result.measure}, 95% CI"
    panels = [curve_panel(f"{result.measure} by layer", measure, chart)] if chart.curves else []
    return Section(
        result=result,
        title=title,
        source=source.name,
        summary=tuple(_summary(result)),
        warnings=tuple(_warnings(result)),
        table=make_table(f"{title}, best first", result, score, without=("curve",)),
        tiles=labelled_tiles(result),
        drawings=tuple(map(lay_out, panels)),
    )


def _summary(result: LabelledResult) -> Iterable[str]:
    yield from result.conclusions()
    yield from (
        f"For comparison, {level.name}: {level.value:.4f} (95% CI {show_interval(level.interval)})."
        for level in chart_labelled(result).singles
    )


def _warnings(result: LabelledResult) -> Iterable[str]:
    yield from result.cautions()
    if isinstance(result, ClassificationResult):
        yield from _at_chance(result)


def _at_chance(result: ClassificationResult) -> Iterable[str]:
    """Name the layers whose interval reaches down to what shuffled labels give."""
    for row in result.rows:
        interval, chance = result.interval_of(row), result.chance_of(row)
        if row.control != SHUFFLED and interval is not None and chance is not None and interval[0] <= chance:
            yield f"at chance: {row.encoder} is not shown to be better than the same probe on shuffled labels"
