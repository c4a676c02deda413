"""Scores of fusions, sorted into grids: the layers of one model against the layers of another."""

from collections.abc import Mapping
from dataclasses import dataclass

from probe.errors import CallError
from probe.hookpoint import Hookpoint
from probe.leaderboard import Leaderboard

__all__ = ["FusionGrid", "fusion_grids"]


@dataclass(frozen=True)
class FusionGrid:
    """Fusions of several layers of one model and pooling with several of another.

    Attributes:
        first: Model and pooling whose layers are the rows.
        second: Model and pooling whose layers are the columns.
        scores: Score per layer of the first and layer of the second; not every pair has to be there.
        encoders: The encoders whose scores these are, and their layers.
    """

    first: str
    second: str
    scores: Mapping[tuple[int, int], float]
    encoders: Mapping[str, tuple[int, int]]


def fusion_grids(board: Leaderboard) -> tuple[FusionGrid, ...]:
    """Return one grid per pair of models and poolings of which several layers are fused.

    Args:
        board: A leaderboard.

    Returns:
        The grids, by name; none where no pair has two layers on both sides.
    """
    found: dict[tuple[str, str], dict[tuple[int, int], tuple[str, float]]] = {}
    for row in board.rows:
        points = _split(row.encoder)
        if len(points) == 2 and row.adaptor is None:
            (first, (left, _)), (second, (right, _)) = ((_label(point), point.layer_pooling) for point in points)
            found.setdefault((first, second), {})[left, right] = row.encoder, row.scores[board.metric]
    return tuple(_make(*pair, cells) for pair, cells in sorted(found.items()) if _is_grid(cells))


def _make(first: str, second: str, cells: Mapping[tuple[int, int], tuple[str, float]]) -> FusionGrid:
    scores = {place: score for place, (_, score) in cells.items()}
    return FusionGrid(first, second, scores, {encoder: place for place, (encoder, _) in cells.items()})


def _split(encoder: str) -> list[Hookpoint]:
    try:
        return [Hookpoint.parse(part) for part in encoder.split("+")]
    except CallError:
        return []


def _label(point: Hookpoint) -> str:
    return f"{point.model}:{point.pooling}"


def _is_grid(cells: Mapping[tuple[int, int], object]) -> bool:
    return min(len({place[side] for place in cells}) for side in (0, 1)) > 1
