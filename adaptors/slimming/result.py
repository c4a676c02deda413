"""The result of a search as a table: the full model, every candidate, and the test of the best one."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, ClassVar

from probe.results.console import Column
from probe.results.formats import (
    EMPTY,
    brief_data_line,
    metric_title,
    model_lines,
    retrieval_data_line,
    show_interval,
    show_number,
    show_p_value,
)
from probe.results.result import Result

__all__ = ["FULL", "WINNER", "SlimResult", "SlimRow"]

FULL, WINNER = "full model", "best"


@dataclass(frozen=True)
class SlimRow:
    """The full model or a candidate; what does not apply is None.

    Attributes:
        model: Its name in the table.
        role: `full model`, `candidate` or `best`.
        blocks: Number of blocks; 0 for a static model.
        tokens: Size of its vocabulary.
        dim: Dimension of its vectors.
        parameters: Number of parameters.
        megabytes: Size of its weight files in megabytes.
        speed: Documents per second relative to the full model, measured side by side.
        ms_per_query: Milliseconds per query at batch size 1.
        ms_per_document: Milliseconds per document.
        train_seconds: Time of its training.
        steps: Training steps.
        estimate: Its score on the judging queries as a share of the full model's.
        front: Whether no other model is both cheaper and better on the judging queries.
        scores: Mean scores on the test queries, by metric; only the full model's and the best one's.
        ci95: 95 % interval of the first metric on the test queries.
        delta: Difference to the full model on the test queries.
        p_value: Of the non-inferiority test, if quality is demanded.
    """

    model: str
    role: str
    blocks: int
    tokens: int
    dim: int
    parameters: int
    megabytes: float
    speed: float | None = None
    ms_per_query: float | None = None
    ms_per_document: float | None = None
    train_seconds: float | None = None
    steps: int | None = None
    estimate: float | None = None
    front: bool = False
    scores: dict[str, float] = field(default_factory=dict)
    ci95: tuple[float, float] | None = None
    delta: float | None = None
    p_value: float | None = None


@dataclass(frozen=True, repr=False)
class SlimResult(Result):
    """The candidates of a search, and whether the best one meets the goal.

    Attributes:
        rows: The full model, then the candidates from the largest to the smallest.
        folder: The saved model; empty if it was not saved.
    """

    kind: ClassVar[str] = "slim"
    column_names: ClassVar[tuple[str, ...]] = (
        *("model", "front", "estimate", "score", "ci95", "delta", "p", "speed", "ms", "ms-doc", "mb", "dim"),
        *("tokens", "params", "steps"),
    )

    rows: tuple[SlimRow, ...]
    folder: str = ""

    @property
    def metric(self) -> str:
        """The metric of the scores."""
        return str(self.settings["metric"])

    @property
    def best(self) -> SlimRow:
        """The chosen candidate."""
        return next(row for row in self.rows if row.role == WINNER)

    @property
    def full(self) -> SlimRow:
        """The full model."""
        return next(row for row in self.rows if row.role == FULL)

    @property
    def is_met(self) -> bool:
        """Whether the best candidate is shown to meet the goal."""
        return not self.settings["unmet"]

    def columns(self) -> list[Column]:
        """Return the columns of the table."""
        metric = metric_title(self.metric)
        return [
            Column("model", lambda row: row.model, left=True),
            Column("front", lambda row: "*" if row.front else "", left=True, drop=3),
            Column("estimate", lambda row: EMPTY if row.estimate is None else f"{row.estimate:.1%}"),
            Column(metric, lambda row: show_number(row.scores.get(self.metric), ".4f"), key="score"),
            Column("95% CI", lambda row: show_interval(row.ci95), key="ci95", drop=2),
            Column("Δ", lambda row: show_number(row.delta, "+.4f"), key="delta", drop=1),
            Column("p", lambda row: show_p_value(row.p_value), drop=1),
            Column("speed", lambda row: EMPTY if row.speed is None else f"{row.speed:.1f}x", drop=1),
            Column("ms/query", lambda row: show_number(row.ms_per_query, ".2f"), key="ms", drop=2),
            Column("ms/doc", lambda row: show_number(row.ms_per_document, ".2f"), key="ms-doc", drop=4),
            Column("MB", lambda row: f"{row.megabytes:.1f}", key="mb"),
            Column("dim", lambda row: str(row.dim), drop=5),
            Column("tokens", lambda row: f"{row.tokens:,}", drop=6),
            Column("params", lambda row: f"{row.parameters / 1e6:.1f} M", drop=7),
            Column("steps", lambda row: EMPTY if row.steps is None else f"{row.steps:,}", drop=8),
        ]

    def emphasized(self) -> Collection[int]:
        """Return the index of the best candidate."""
        return [number for number, row in enumerate(self.rows) if row.role == WINNER]

    def title(self) -> str:
        """Return the data and the goal."""
        return f"{super().title()} · goal: {self.settings['goal']}"

    def verdict(self) -> str:
        """Return whether the best candidate meets the goal, with its test."""
        best, full, unmet = self.best, self.full, self.settings["unmet"]
        metric = metric_title(self.metric)
        scores = f"{metric} {best.scores[self.metric]:.4f}, full model {full.scores[self.metric]:.4f}"
        costs = f"{best.megabytes:.1f} MB" + (
            "" if best.speed is None else f", {best.speed:.1f} x its documents per second"
        )
        lead = f"{best.model}, {costs}: {scores}{self._describe_test(best)}."
        if unmet:
            return f"The goal is not shown to be met: {'; '.join(unmet)}. The best found is {lead}"
        return f"The goal is met by {lead}"

    def _describe_test(self, best: SlimRow) -> str:
        if best.p_value is None:
            return f" ({show_number(best.delta, '+.4f')})"
        margin = self.settings["margin"]
        return (
            f", not worse by {margin:.4f} (p {show_p_value(best.p_value)})"
            if self.is_met
            else (f", margin {margin:.4f} (p {show_p_value(best.p_value)})")
        )

    def conclusions(self) -> list[str]:
        """Return the verdict, and where the model was saved."""
        return [self.verdict(), *self.settings["remarks"]]

    def brief(self) -> list[str]:
        """Return what decided the numbers, in three lines."""
        return [
            brief_data_line(self.settings["dataset"]),
            f"estimate: share of the full model's {metric_title(self.metric)} on {self.settings['basis']}",
            f"{self.settings['minutes']:g} minutes of search; texts of the corpus seen (transductive)",
        ]

    def notes(self) -> list[str]:
        """Return everything that decided the numbers."""
        settings = self.settings
        return [
            retrieval_data_line(settings["dataset"]),
            *model_lines(settings["models"]),
            f"goal: {settings['goal']}; {settings['minutes']:g} minutes of search; seed {settings['seed']}",
            f"estimate: share of the full model's {metric_title(self.metric)} on {settings['basis']}; these chose "
            "the candidate, not the test queries",
            "front: no other model is both smaller in parameters and better on those queries",
            f"trained without labels on {settings['texts']:,} texts of {settings['dataset']['name']}, the corpus "
            "itself among them (transductive)",
            f"test: one-sided paired randomisation, {settings['statistics']['resamples']:,} draws, on the test queries "
            "once, at the end",
            f"speed: {settings['timing']}",
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {**super().to_dict(), "folder": self.folder, "met": self.is_met}
