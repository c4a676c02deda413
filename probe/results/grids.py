"""Numbers of two layers each, sorted into grids: the layers of one model against the layers of another, or its own."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations_with_replacement

from probe.layers.hookpoint import Hookpoint

__all__ = ["Grid", "Reading", "cka_grids", "fusion_grids"]


@dataclass(frozen=True)
class Reading:
    """One hookpoint that an encoder reads.

    Attributes:
        model: The model's name, that of one tower of two with it.
        layer: The `hidden_states` index.
        pooling: The pooling.
    """

    model: str
    layer: int
    pooling: str

    @property
    def spec(self) -> str:
        """The hookpoint as it is written."""
        return str(Hookpoint(self.model, self.layer, self.pooling))

    @property
    def series(self) -> str:
        """What the layers of one model or tower under one pooling have in common: `minilm:mean`."""
        return f"{self.model}:{self.pooling}"


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


def fusion_grids(scores: Iterable[tuple[str, Sequence[Reading], float]], metric: str) -> tuple[Grid, ...]:
    """Return a grid per pair of models and poolings of which several layers are fused.

    Args:
        scores: Of encoders: their names, the hookpoints they read and their scores. Those whose names are not their two
            hookpoints are something else than a plain fusion.
        metric: What the scores are.
    """
    found: dict[tuple[str, str], dict[tuple[int, int], tuple[str, float]]] = {}
    for encoder, points, score in scores:
        if len(points) == 2 and encoder == "+".join(point.spec for point in points):
            first, second = points
            found.setdefault((first.series, second.series), {})[first.layer, second.layer] = encoder, score
    return tuple(_fusion_grid(metric, *pair, cells=cells) for pair, cells in sorted(found.items()) if _is_grid(cells))


def _fusion_grid(metric: str, first: str, second: str, *, cells: Mapping[tuple[int, int], tuple[str, float]]) -> Grid:
    scores = {layers: score for layers, (_, score) in cells.items()}
    encoders = {encoder: layers for layers, (encoder, _) in cells.items()}
    caption = f"layers of {first} (down) fused with layers of {second} (across)"
    return Grid(metric, caption, first, second, scores, encoders)


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
        caption = f"layers of {first}" if first == second else f"layers of {first} (down) and of {second} (across)"
        grids.append(Grid("CKA", caption, first, second, values))
    return tuple(grid for grid in grids if len(grid.values) > 1)
