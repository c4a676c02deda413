"""The picture of a map of pairs: the cosines before and after a training, side by side on one scale."""

import math
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from probe.data.texts import spread
from probe.plots.heat_map import draw_cells, name_cells
from probe.plots.sheet import Band, Handles, stack
from probe.plots.style import Picture, house_style
from probe.results.charts import PairMap

__all__ = ["draw"]

_HEIGHT = 3.4
# Half a page has room for this many numbers in cells side by side, and for this many below them.
_ROOM, _NUMBERED = 8, 16


def draw(pairs: PairMap) -> Picture:
    """Draw a map of pairs."""
    limits = _limits(pairs)
    panels = tuple(
        partial(_fill, title, values, sides=pairs.sides, limits=limits)
        for title, values in (("before", pairs.before), ("after", pairs.after))
    )
    first, second = pairs.sides
    with house_style():
        return stack([Band(_HEIGHT, panels)], f"cosines of {first} and {second}; pairs are on the diagonal")


def _limits(pairs: PairMap) -> tuple[float, float]:
    """Return tenths around all cosines; some room where all are equal."""
    values = np.concatenate([pairs.before.ravel(), pairs.after.ravel()])
    high = math.ceil(10 * values.max()) / 10
    return min(math.floor(10 * values.min()) / 10, high - 0.1), high


def _fill(
    title: str, values: NDArray[np.float64], axes: Axes, *, sides: tuple[str, str], limits: tuple[float, float]
) -> Handles:
    mesh = draw_cells(axes, values, limits, room=_ROOM)
    numbers = _numbers(len(values))
    name_cells(axes, numbers, numbers)
    axes.set_box_aspect(1)
    axes.set_title(title)
    axes.set_ylabel(sides[0])
    axes.set_xlabel(sides[1])
    panels = list(axes.figure.axes)
    if len(panels) == 2:
        axes.figure.colorbar(mesh, ax=panels, label="cosine", pad=0.01, fraction=0.03)
    return {}


def _numbers(count: int) -> list[str]:
    """Return the number of every pair, counted from 1; of many pairs only some have one."""
    shown = range(count) if count <= _NUMBERED else spread(count, _ROOM)
    return [str(number + 1) if number in shown else "" for number in range(count)]
