"""How cosines at every layer agree with gold scores: ranked rows."""

from dataclasses import dataclass
from typing import Any, ClassVar

from probe.results.formats import (
    brief_model_line,
    brief_statistics_line,
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
    test_words,
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


@dataclass(frozen=True, repr=False)
class SimilarityResult(Result):
    """Layers ranked by how their cosines agree with gold scores: best first, collapsed ones last."""

    kind: ClassVar[str] = "similarity"
    made_up: ClassVar[str] = "scores"
    column_names: ClassVar[tuple[str, ...]] = (
        *("rank", "encoder", "dim", "spearman", "ci95", "delta", "p", "pearson", "mean_cosine", "curve", "note"),
    )

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
            Column("#", lambda row: str(row.rank), key="rank"),
            Column("encoder", lambda row: row.encoder, left=True),
            Column("dim", lambda row: str(row.dim), drop=6, label="dim"),
            Column("Spearman", lambda row: show_number(row.spearman, ".4f")),
            Column("95% CI", lambda row: show_interval(row.spearman_ci95), drop=3, key="ci95"),
            Column("Δ full", lambda row: show_number(row.delta, "+.4f"), drop=1, key="delta"),
            Column("p", lambda row: show_p_value(row.p_value, starred=row.rank in starred), drop=1),
            Column("Pearson", lambda row: show_number(row.pearson, ".4f"), drop=4),
            Column("mean cos", lambda row: show_number(row.mean_cosine, ".3f"), drop=5, key="mean_cosine"),
            Column("curve", lambda row: show_bar(row.spearman or 0.0, top), left=True, drop=7),
            Column("note", self._note, left=True, drop=2),
        ]

    def _note(self, row: SimilarityRow) -> str:
        return join_marks({"full model": row.encoder == self.settings["baseline"], "collapsed": row.collapsed})

    def verdict(self) -> str:
        """Return which layer agrees best with the gold scores, and how it compares with the full model."""
        full = next((row for row in self.rows if row.encoder == self.settings["baseline"]), None)
        rivals = [row for row in self.rows if row.spearman is not None and row.delta is not None and row is not full]
        if full is None or full.spearman is None:
            return "The full model is missing or collapsed, so that nothing can be compared."
        if not rivals:
            return f"The full model has nothing to compare with: Spearman {full.spearman:.3f}."
        starred = significant(self.rows)
        best, worse = rivals[0], sum(row.rank in starred and (row.delta or 0) < 0 for row in rivals)
        gap, test = abs(best.delta or 0), test_words(best.p_value, best.rank in starred)
        counts = f"{worse} of {len(rivals)} layers are" if worse else "no layer is"
        counts += " significantly below it"
        if (best.delta or 0) > 0:
            words = f"{best.encoder} agrees best with the gold scores (Spearman {best.spearman:.3f})"
            return f"{words}, {gap:.3f} above the full model ({test}); {counts}."
        words = f"The full model agrees best with the gold scores (Spearman {full.spearman:.3f})"
        return f"{words}; the next, {best.encoder}, is {gap:.3f} lower ({test}); {counts}."

    def warnings(self) -> list[str]:
        """Return the defects of the data, and the rows whose vectors are all equal."""
        collapsed = ", ".join(row.encoder for row in self.rows if row.collapsed)
        return [
            *super().warnings(),
            *([f"collapsed: all sentences have one vector at {collapsed}"] if collapsed else []),
        ]

    def brief(self) -> list[str]:
        """Return what decided the numbers, in three lines."""
        data = self.settings["dataset"]
        pairs = f"data: {data['pairs']} pairs of {data['sentences']} sentences"
        return [pairs, brief_model_line(self.settings["models"]), brief_statistics_line()]

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
            *self.warnings(),
        ]
