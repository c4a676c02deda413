"""The geometry of layers: data first; how it is drawn is another file's work."""

import json
from dataclasses import dataclass
from typing import Any

from probe.board import board_dict
from probe.notebook import NotebookViews

__all__ = ["GeometryBoard", "GeometryRow"]


@dataclass(frozen=True)
class GeometryRow:
    """One layer and pooling.

    Attributes:
        encoder: The full spec.
        layer: Its layer.
        pooling: Its pooling.
        dim: Dimension D.
        mean_cosine: Over all pairs of texts: anisotropy.
        effective_rank: Exponential of the entropy of the singular values' shares.
        top_share: Share of the first principal axis in the energy.
        norm: Mean length of the vectors as pooled.
        norm_deviation: Standard deviation of that.
        alignment: Mean squared distance of judged pairs, None where none is judged.
        uniformity: Log of the mean of exp(-2 distance^2).
        dominant: Dimensions that make up most of the mean cosine, with their shares.
        spectrum: Shares of the principal axes, largest first.
        collapsed: Whether all vectors are equal.
    """

    encoder: str
    layer: int
    pooling: str
    dim: int
    mean_cosine: float
    effective_rank: float
    top_share: float
    norm: float
    norm_deviation: float
    alignment: float | None
    uniformity: float
    dominant: tuple[tuple[int, float], ...]
    spectrum: tuple[float, ...]
    collapsed: bool


@dataclass(frozen=True)
class GeometryBoard(NotebookViews):
    """The geometry of any number of layers, and how alike they are.

    Attributes:
        command: What made it.
        created: When, in UTC.
        settings: Everything that decided the numbers.
        rows: One per layer and pooling, models one after another, layers in order.
        cka: Linear CKA of every row with every row.
    """

    command: str
    created: str
    settings: dict[str, Any]
    rows: tuple[GeometryRow, ...]
    cka: tuple[tuple[float, ...], ...]

    def by_model(self) -> dict[str, list[GeometryRow]]:
        """Return the rows of every model and pooling, in their order."""
        groups: dict[str, list[GeometryRow]] = {}
        for row in self.rows:
            groups.setdefault(f"{row.encoder.rpartition('@')[0]}:{row.pooling}", []).append(row)
        return groups

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, in the JSON form's order."""
        return {**board_dict("geometry", self), "cka": self.cka}

    def to_json(self) -> str:
        """Return it as JSON."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False) + "\n"
