"""A picture as a stack of bands of panels, with one title above and one legend below."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from matplotlib.axes import Axes
from matplotlib.gridspec import SubplotSpec
from matplotlib.text import Annotation

from probe.plots.style import WIDTH, Picture, add_legend

__all__ = ["Band", "Handles", "Panel", "stack"]

# What stands in the legend: a line or another artist per name.
Handles = Mapping[str, Any]
Panel = Callable[[Axes], Handles]

# Inches a line of the title takes.
_LINE = 0.2


@dataclass(frozen=True)
class Band:
    """Panels side by side.

    Attributes:
        height: In inches.
        panels: Each draws on the axes it is given, and returns what the legend says of it.
        columns: Room for at least this many panels.
        shared: Whether the panels share their vertical axis.
    """

    height: float
    panels: tuple[Panel, ...]
    columns: int = 1
    shared: bool = False


def stack(bands: Sequence[Band], title: str) -> Picture:
    """Return a picture of bands, one below the other, under one title."""
    height = sum(band.height for band in bands)
    picture = Picture(figsize=(WIDTH, height), layout="constrained")
    picture.suptitle(title)
    groups = [list(found) for _, found in groupby(bands, key=_width)]
    outer = picture.add_gridspec(len(groups), 1, height_ratios=[sum(band.height for band in found) for found in groups])
    handles: dict[str, Any] = {}
    for number, found in enumerate(groups):
        inner = outer[number].subgridspec(len(found), _width(found[0]), height_ratios=[band.height for band in found])
        for row, band in enumerate(found):
            handles |= _fill(picture, band, [inner[row, column] for column in range(len(band.panels))])
    picture.set_figheight(height + add_legend(picture, handles) + _LINE * (title.count("\n") + 1))
    picture.draw_without_rendering()
    for axes in picture.axes:
        _part_labels([text for text in axes.texts if isinstance(text, Annotation)])
    return picture


def _width(band: Band) -> int:
    return max(len(band.panels), band.columns)


def _fill(picture: Picture, band: Band, cells: Sequence[SubplotSpec]) -> dict[str, Any]:
    handles: dict[str, Any] = {}
    first: Axes | None = None
    for cell, draw in zip(cells, band.panels, strict=True):
        axes = picture.add_subplot(cell, sharey=first if band.shared else None)
        handles |= draw(axes)
        if first is not None and band.shared:
            axes.tick_params(labelleft=False)
            axes.set_ylabel("")
        first = first or axes
    return handles


def _part_labels(labels: Sequence[Annotation]) -> None:
    """Lift labels, from left to right, until none covers another; the picture must have its layout."""
    placed: list[Any] = []
    for label in labels:
        for _ in range(20):
            if not any(label.get_window_extent().overlaps(other) for other in placed):
                break
            left, up = label.xyann
            label.xyann = (left, up + 4)
        placed.append(label.get_window_extent())
