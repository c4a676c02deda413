"""Heat maps, with their numbers where the cells have room for them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from numpy.typing import NDArray

from probe.plots.style import MAP_COLOURS
from probe.results.colours import luminance

__all__ = ["as_array", "draw_cells", "name_cells"]

# This many cells side by side have room for numbers of 8 points, in a panel as wide as the page.
_ROOM = 14
# Of more cells side by side, white lines between them would hide the colours.
_FRAMED = 40
# Below this luminance white letters have more contrast than black ones (WCAG 2).
_DARK = 0.179


def as_array(cells: Mapping[tuple[int, int], float]) -> tuple[list[int], list[int], NDArray[np.float64]]:
    """Return the names of rows and columns, and the numbers, NaN where there is none."""
    rows, columns = (sorted({cell[side] for cell in cells}) for side in (0, 1))
    return rows, columns, np.array([[cells.get((row, column), np.nan) for column in columns] for row in rows])


def draw_cells(axes: Axes, values: NDArray[np.float64], limits: tuple[float, float], *, room: int = _ROOM) -> QuadMesh:
    """Draw numbers as colours, the first row at the top; return what a colour bar is made from.

    Args:
        axes: Where.
        values: The numbers; NaN leaves a cell empty.
        limits: The numbers of the darkest and of the lightest colour.
        room: Most cells side by side that have room for their numbers.
    """
    (low, high), many = limits, max(values.shape) > _FRAMED
    lines: dict[str, Any] = {"rasterized": True} if many else {"edgecolors": "white", "linewidth": 0.5}
    mesh = axes.pcolormesh(np.ma.masked_invalid(values), cmap=MAP_COLOURS, vmin=low, vmax=high, **lines)
    axes.invert_yaxis()
    axes.grid(visible=False)
    axes.tick_params(length=0)
    if max(values.shape) <= room:
        for (row, column), value in np.ndenumerate(values):
            _write(axes, mesh, (row, column), value=float(value))
    return mesh


def name_cells(axes: Axes, rows: Sequence[object], columns: Sequence[object]) -> None:
    """Name rows and columns."""
    axes.set_yticks(np.arange(len(rows)) + 0.5, [str(row) for row in rows])
    axes.set_xticks(np.arange(len(columns)) + 0.5, [str(column) for column in columns])


def _write(axes: Axes, mesh: QuadMesh, cell: tuple[int, int], *, value: float) -> None:
    if np.isnan(value):
        return
    row, column = cell
    colour = "white" if luminance(np.ravel(mesh.to_rgba(np.array(value))).tolist()) < _DARK else "black"
    words = f"{value:.2f}".removeprefix("0") if value >= 0 else f"{value:.2f}"
    axes.text(column + 0.5, row + 0.5, words, ha="center", va="center", fontsize=8, color=colour)
