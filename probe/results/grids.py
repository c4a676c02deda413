"""Numbers of two layers each, sorted into grids: the layers of one model against the layers of another, or its own."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations_with_replacement

from probe.errors import CallError
from probe.layers.hookpoint import Hookpoint

__all__ = ["Grid", "cka_grids", "fusion_grids"]


@dataclass(frozen=True)
class Grid:
    """A number per layer of one model and pooling and layer of another.

    Attributes:
        measure: What the numbers are.
        caption: What the rows and columns are.
        first: Model and pooling whose layers are the rows.
        second: Model and pooling whose layers are the columns; perhaps the same.
        values: The number per layer of the first and layer of the second; not every pair has to be there.
        encoders: Of fusions, the encoders whose numbers these are, and their layers.
    """

    measure: str
    caption: str
    first: str
    second: str
    values: Mapping[tuple[int, int], float]
    encoders: Mapping[str, tuple[int, int]] = field(default_factory=dict)


def fusion_grids(scores: Iterable[tuple[str, float]], metric: str) -> tuple[Grid, ...]:
    """Return a grid per pair of models and poolings of which several layers are fused, by name."""
    found: dict[tuple[str, str], dict[tuple[int, int], tuple[str, float]]] = {}
    for encoder, score in scores:
        points = _split(encoder)
        if len(points) == 2:
            (first, (left, _)), (second, (right, _)) = ((_label(point), point.layer_pooling) for point in points)
            found.setdefault((first, second), {})[left, right] = encoder, score
    return tuple(_fusion_grid(metric, *pair, cells=cells) for pair, cells in sorted(found.items()) if _is_grid(cells))


def _fusion_grid(metric: str, first: str, second: str, *, cells: Mapping[tuple[int, int], tuple[str, float]]) -> Grid:
    scores = {layers: score for layers, (_, score) in cells.items()}
    encoders = {encoder: layers for layers, (encoder, _) in cells.items()}
    caption = f"layers of {first} (down) fused with layers of {second} (across)"
    return Grid(metric, caption, first, second, scores, encoders)


def _split(encoder: str) -> list[Hookpoint]:
    try:
        return [Hookpoint.parse(part) for part in encoder.split("+")]
    except CallError:
        return []


def _label(point: Hookpoint) -> str:
    return f"{point.model}:{point.pooling}"


def _is_grid(cells: Mapping[tuple[int, int], object]) -> bool:
    return min(len({layers[side] for layers in cells}) for side in (0, 1)) > 1


def cka_grids(groups: Mapping[str, Sequence[tuple[int, int]]], cka: Sequence[Sequence[float]]) -> tuple[Grid, ...]:
    """Return one grid of more than one number per pair of models and poolings.

    Args:
        groups: Layer and row number of the rows of every model and pooling.
        cka: Linear CKA of every row with every row.
    """
    grids = []
    for first, second in combinations_with_replacement(groups, 2):
        values = {(down, across): cka[i][j] for down, i in groups[first] for across, j in groups[second]}
        grids.append(Grid("CKA", f"layers of {first} (down) and of {second} (across)", first, second, values))
    return tuple(grid for grid in grids if len(grid.values) > 1)
