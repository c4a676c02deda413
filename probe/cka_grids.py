"""Similarities of layers, sorted into grids: the layers of one model against the layers of another, or its own."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations_with_replacement

from probe.geometry_board import GeometryBoard

__all__ = ["CkaGrid", "cka_grids"]


@dataclass(frozen=True)
class CkaGrid:
    """Linear CKA of the layers of one model and pooling with those of another.

    Attributes:
        first: Model and pooling whose layers are the rows.
        second: Model and pooling whose layers are the columns; perhaps the same.
        values: CKA per layer of the first and layer of the second.
    """

    first: str
    second: str
    values: Mapping[tuple[int, int], float]


def cka_grids(board: GeometryBoard) -> tuple[CkaGrid, ...]:
    """Return one grid per pair of models and poolings.

    Args:
        board: The measures.

    Returns:
        The grids of more than one number.
    """
    places = {row.encoder: place for place, row in enumerate(board.rows)}
    groups = {name: [(row.layer, places[row.encoder]) for row in rows] for name, rows in board.by_model().items()}
    grids = []
    for first, second in combinations_with_replacement(groups, 2):
        values = {(down, across): board.cka[i][j] for down, i in groups[first] for across, j in groups[second]}
        grids.append(CkaGrid(first, second, values))
    return tuple(grid for grid in grids if len(grid.values) > 1)
