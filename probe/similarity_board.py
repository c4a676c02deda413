"""How cosines at every layer agree with gold scores: data first; how it is drawn is another file's work."""

import json
from dataclasses import dataclass
from typing import Any

from probe.board import board_dict
from probe.notebook import NotebookViews

__all__ = ["SimilarityBoard", "SimilarityRow"]


@dataclass(frozen=True)
class SimilarityRow:
    """One layer and pooling; what does not apply is None.

    Attributes:
        rank: 1 for the best.
        encoder: The full spec.
        layer: Its layer.
        pooling: Its pooling.
        dim: Dimension D.
        spearman: Rank correlation of cosine and gold score, None where all cosines are equal.
        spearman_ci95: Its 95 % interval.
        pearson: Linear correlation of cosine and gold score.
        delta: Difference in Spearman to the full model.
        p_value: Of a paired test against the full model, not corrected.
        mean_cosine: Over the pairs.
        collapsed: Whether all vectors are equal.
    """

    rank: int
    encoder: str
    layer: int
    pooling: str
    dim: int
    spearman: float | None = None
    spearman_ci95: tuple[float, float] | None = None
    pearson: float | None = None
    delta: float | None = None
    p_value: float | None = None
    mean_cosine: float | None = None
    collapsed: bool = False


@dataclass(frozen=True)
class SimilarityBoard(NotebookViews):
    """Layers ranked by how their cosines agree with gold scores.

    Attributes:
        command: What made it.
        created: When, in UTC.
        settings: Everything that decided the numbers.
        rows: Best first, collapsed ones last.
    """

    command: str
    created: str
    settings: dict[str, Any]
    rows: tuple[SimilarityRow, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values, in the JSON form's order."""
        return board_dict("similarity", self)

    def to_json(self) -> str:
        """Return it as JSON."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False) + "\n"
