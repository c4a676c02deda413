"""The picture of probes on labelled texts: the measure against the layer, beside what chance gives."""

import textwrap
from functools import partial

from matplotlib.axes import Axes

from probe.errors import CallError
from probe.plots.curves import draw_curves, draw_levels, mark_handles
from probe.plots.sheet import Band, Handles, stack
from probe.plots.style import Picture, house_style
from probe.results.charts import Chart, LabelledResult, chart_labelled

__all__ = ["draw"]

_HEIGHT = 3.6
# A longer name of a measure has a line beside the vertical axis for itself.
_LABEL = 30


def draw(result: LabelledResult) -> Picture:
    """Draw trained probes, or correlations with gold scores.

    Raises:
        CallError: No row has a number.
    """
    chart = chart_labelled(result)
    if not chart.curves:
        raise CallError("nothing to draw: no layer has a number")
    with house_style():
        panel = partial(_fill, chart, _label(result.measure))
        return stack([Band(_HEIGHT, (panel,))], _title(result))


def _label(measure: str) -> str:
    return f"{measure},{chr(10) if len(measure) > _LABEL else ' '}95% CI"


def _title(result: LabelledResult) -> str:
    data = result.settings["dataset"]
    title = textwrap.fill(f"{result.measure} on {data['name']}", 95)
    return title + (f"\nSYNTHETIC data: {textwrap.fill(data['synthetic'], 90)}" if data["synthetic"] else "")


def _fill(chart: Chart, measure: str, axes: Axes) -> Handles:
    lines = draw_curves(axes, chart.curves, measure)
    points = [point for curve in chart.curves for point in curve.points]
    return {**lines, **draw_levels(axes, chart.singles), **mark_handles(points)}
