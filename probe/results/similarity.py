"""How cosines at every layer agree with gold scores: ranked rows."""

from dataclasses import dataclass
from typing import Any, ClassVar

from probe.results.formats import (
    curve_lines,
    data_line,
    join_marks,
    model_lines,
    series_name,
    show_bar,
    show_interval,
    show_number,
    show_p_value,
    significant,
    statistics_lines,
)
from probe.results.result import Column, Result

__all__ = ["SimilarityResult", "SimilarityRow"]


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
class SimilarityResult(Result):
    """Layers ranked by how their cosines agree with gold scores: best first, collapsed ones last."""

    kind: ClassVar[str] = "similarity"
    made_up: ClassVar[str] = "scores"

    rows: tuple[SimilarityRow, ...]

    @property
    def measure(self) -> str:
        """What is measured, as it is written in text."""
        return "Spearman correlation with gold scores"

    def score_of(self, row: Any) -> float | None:
        """Return the measure of a row."""
        score: float | None = row.spearman
        return score

    def interval_of(self, row: Any) -> tuple[float, float] | None:
        """Return the measure's 95 % interval."""
        interval: tuple[float, float] | None = row.spearman_ci95
        return interval

    def columns(self) -> list[Column]:
        """Return the columns of the table."""
        top, starred = max(row.spearman or 0.0 for row in self.rows), significant(self.rows)
        return [
            Column("#", lambda row: str(row.rank)),
            Column("encoder", lambda row: row.encoder, left=True),
            Column("dim", lambda row: str(row.dim)),
            Column("Spearman", lambda row: show_number(row.spearman, ".4f")),
            Column("95 %", lambda row: show_interval(row.spearman_ci95)),
            Column("Δ full", lambda row: show_number(row.delta, "+.4f")),
            Column("p", lambda row: show_p_value(row.p_value, starred=row.rank in starred)),
            Column("Pearson", lambda row: show_number(row.pearson, ".4f")),
            Column("mean cos", lambda row: show_number(row.mean_cosine, ".3f")),
            Column("curve", lambda row: show_bar(row.spearman or 0.0, top), left=True),
            Column("note", self._note, left=True),
        ]

    def _note(self, row: SimilarityRow) -> str:
        return join_marks({"full model": row.encoder == self.settings["baseline"], "collapsed": row.collapsed})

    def notes(self) -> list[str]:
        """Return the footer: everything that decided the numbers, and how to read them."""
        settings = self.settings
        data = settings["dataset"]
        low, high = data["scores"]
        more = f" of {data['sentences']} sentences, scores {low:g} to {high:g}"
        return [
            *curve_lines((series_name(row.encoder, row.pooling), row.layer, row.spearman or 0.0) for row in self.rows),
            data_line(data, f"{data['name']}, {data['pairs']} pairs", more, judged="scores"),
            *model_lines(settings["models"]),
            "Spearman: rank correlation of cosine and gold score, ties averaged; for the ties among these gold scores "
            f"at most {settings['highest']:.4f}; mean cos: over the pairs",
            *statistics_lines(settings),
            *(f"data defect: {defect}" for defect in data["defects"]),
            *(f"{row.encoder} is collapsed: all sentences have one vector there" for row in self.rows if row.collapsed),
        ]
