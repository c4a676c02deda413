"""The result of a search for a smaller model: the full model, every candidate, and the test of the best one."""

from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

from probe.results.formats import (
    ALPHA,
    EMPTY,
    brief_data_line,
    join_names,
    metric_title,
    model_lines,
    p_words,
    retrieval_data_line,
    show_interval,
    show_number,
    show_p_value,
)
from probe.results.query_examples import Examples
from probe.results.result import Column, Result

__all__ = ["CANDIDATE", "FULL", "WIDE", "WINNER", "SlimResult", "SlimRow"]

FULL, CANDIDATE, WINNER = "full model", "candidate", "best"
# From this ratio of the largest to the smallest model on, a logarithmic axis shows both.
WIDE = 8
# Most characters of a model's name in a table or a picture.
_LONGEST_NAME = 32


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
        front: Whether no other model is both smaller and better on the judging queries.
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
        examples: Queries on which the full model and the best candidate differ; those that lost most come first.
    """

    kind: ClassVar[str] = "slim"
    column_names: ClassVar[tuple[str, ...]] = (
        *("model", "role", "front", "estimate", "score", "ci95", "delta", "p", "mb", "speed", "ms", "ms-doc", "dim"),
        *("tokens", "params", "steps"),
    )

    rows: tuple[SlimRow, ...]
    folder: str = ""
    examples: Examples | None = None

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
    def front(self) -> list[SlimRow]:
        """The Pareto front of sizes and estimates, the smallest model first."""
        return sorted((row for row in self.rows if row.front), key=lambda row: row.megabytes)

    @property
    def is_met(self) -> bool:
        """Whether the best candidate is shown to meet the goal."""
        return not self.settings["unmet"]

    @property
    def share(self) -> float | None:
        """The best candidate's test score as a share of the full model's; None if that is 0."""
        full = self.full.scores[self.metric]
        return self.best.scores[self.metric] / full if full else None

    @property
    def demanded(self) -> float | None:
        """The share of the full model's score that the goal demands; None if it demands no quality."""
        full, margin = self.full.scores[self.metric], self.settings["margin"]
        return 1 - margin / full if full and margin is not None else None

    def name(self, row: SlimRow) -> str:
        """Return the name of a model; of a long path its end."""
        if len(row.model) <= _LONGEST_NAME:
            return row.model
        last = f"…/{row.model.rstrip('/').rpartition('/')[2]}"
        return last if len(last) <= _LONGEST_NAME else f"…{row.model[1 - _LONGEST_NAME :]}"

    @property
    def labels(self) -> str:
        """The split whose relevance labels were used; older results used none."""
        return str(self.settings.get("labels", "none"))

    def _describe_labels(self) -> str:
        if self.labels == "none":
            return ", without labels,"
        return f", and to rank as the relevance labels of {self.labels} say,"

    def columns(self) -> list[Column]:
        """Return the columns of the table."""
        return [
            Column("model", self.name, left=True),
            Column("role", lambda row: "" if row.role == CANDIDATE else row.role, left=True),
            Column("front", lambda row: "*" if row.front else "", left=True, drop=4),
            Column("estimate", lambda row: show_number(row.estimate, ".1%")),
            Column(metric_title(self.metric), lambda row: show_number(row.scores.get(self.metric), ".4f"), key="score"),
            Column("95% CI", lambda row: show_interval(row.ci95), key="ci95", drop=5),
            Column("Δ full", lambda row: show_number(row.delta, "+.4f"), key="delta", drop=1),
            Column("p", lambda row: show_p_value(row.p_value), drop=1),
            Column("MB", lambda row: f"{row.megabytes:.1f}", key="mb"),
            Column("speed", lambda row: EMPTY if row.speed is None else f"{row.speed:.1f}x", drop=2),
            Column("ms/query", lambda row: show_number(row.ms_per_query, ".2f"), key="ms", drop=3),
            Column("ms/doc", lambda row: show_number(row.ms_per_document, ".2f"), key="ms-doc", drop=6),
            Column("dim", lambda row: str(row.dim), drop=7, label="dim"),
            Column("tokens", lambda row: f"{row.tokens:,}", drop=8, label="tokens"),
            Column("params", lambda row: f"{row.parameters / 1e6:.1f}M", drop=9),
            Column("steps", lambda row: show_number(row.steps, ",d"), drop=10),
        ]

    def emphasized(self) -> Collection[int]:
        """Return the index of the best candidate."""
        return [number for number, row in enumerate(self.rows) if row.role == WINNER]

    def title(self) -> str:
        """Return the full model, the data, the goal, and labels if some were used."""
        labels = "" if self.labels == "none" else f" · labels {self.labels}"
        return f"{self.name(self.full)} on {super().title()} · goal: {self.settings['goal']}{labels}"

    def verdict(self) -> str:
        """Return whether the best candidate meets the goal, with its test and what it costs."""
        best, full = self.best.scores[self.metric], self.full.scores[self.metric]
        share = f" ({self.share:.1%} of it)" if self.share is not None and self.is_met else ""
        score = f"{metric_title(self.metric)} {best:.4f} against the full model's {full:.4f}{share}"
        costs = _describe_costs(self.best, self.full)
        return f"{self._describe_goal()} {score}{self._describe_test()}. The smaller model has {costs}."

    def _describe_goal(self) -> str:
        """Return whether the goal is met; a score is shown by a test, time and size are measured."""
        unmet, p_value = self.settings["unmet"], self.best.p_value
        if not unmet:
            return f"The goal is {'shown to be ' if p_value is not None else ''}met by {self.best.model}:"
        untested = int(p_value is not None and p_value >= ALPHA)
        words = "not met" if len(unmet) > untested else "not shown to be met"
        return f"The goal is {words} by the best candidate, {self.best.model}: {'; '.join(unmet)}. Test:"

    def _describe_test(self) -> str:
        loss = self.loss_words()
        if not loss or self.best.p_value is None:
            return ", not tested because the goal demands no quality"
        return f"; {loss} ({p_words(self.best.p_value)})"

    def loss_words(self) -> str:
        """Return what the test says of a loss as large as the margin; nothing where the goal demands no quality."""
        p_value, margin = self.best.p_value, self.settings["margin"]
        if p_value is None or margin is None:
            return ""
        return f"a loss of {margin:.4f} or more is {'ruled out' if p_value < ALPHA else 'not ruled out'}"

    def conclusions(self) -> list[str]:
        """Return the verdict, and what else the search has to say."""
        return [self.verdict(), *self.settings["remarks"]]

    def warnings(self) -> list[str]:
        """Return the warnings that the footer ends with."""
        lines = super().warnings()
        how = "not on relevance labels" if self.labels == "none" else f"and on relevance labels of {self.labels}"
        lines.append(f"transductive: trained on these same documents ({how}); expect less on documents added later")
        if self.settings["dataset"]["queries"] < 2:
            lines.append("a single query: no interval and no test is possible")
        return lines

    def brief(self) -> list[str]:
        """Return what decided the numbers, in three lines."""
        return [
            brief_data_line(self.settings["dataset"]),
            f"estimate: share of the full model's {metric_title(self.metric)}, by which the candidate was chosen, on "
            f"{self.settings['basis']}",
            f"the test queries were used once, at the end; {self.settings['minutes']:g} minutes of search",
        ]

    def notes(self) -> list[str]:
        """Return everything that decided the numbers."""
        settings, statistics = self.settings, self.settings["statistics"]
        return [
            retrieval_data_line(settings["dataset"]),
            *model_lines(settings["models"]),
            f"goal: {settings['goal']}; {settings['minutes']:g} minutes of search, seed {settings['seed']}; saved in "
            f"{settings['weights_dtype']}",
            f"training: to reproduce the full model's vectors{self._describe_labels()} on {settings['texts']:,} texts; "
            f"those of {settings['dataset']['name']} are among them",
            f"estimate: share of the full model's {metric_title(self.metric)}, by which the candidate was chosen and "
            f"which is no test, on {settings['basis']}",
            "front: no other model is both smaller and better on those queries",
            self._test_line(),
            f"CI: {statistics['interval']}",
            f"speed: documents per second against the full model's; {settings['timing']}",
            "versions: " + ", ".join(f"{name} {number}" for name, number in statistics["versions"].items()),
            *self.warnings(),
        ]

    def _test_line(self) -> str:
        settings = self.settings
        once = "on the test queries, which were used once, at the end"
        if settings["margin"] is None:
            return f"p: none, for the goal demands no quality; scores {once}"
        return (
            f"p: one-sided paired randomisation {once}, of a loss of {settings['margin']:.4f} or more; "
            f"{settings['statistics']['resamples']:,} resamples, seed {settings['seed']}; for a model that is equal on "
            f"average, these queries can rule out losses of about {settings['resolution']:.2g}"
        )

    def flat_rows(self) -> list[dict[str, Any]]:
        """Return the rows without nesting: one column per metric, and the data set in every row."""
        metrics = self.full.scores
        return [
            {key: value for key, value in values.items() if key != "scores"}
            | {metric: row.scores.get(metric) for metric in metrics}
            for row, values in zip(self.rows, super().flat_rows(), strict=True)
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        examples = asdict(self.examples) if self.examples else None
        return {**super().to_dict(), "folder": self.folder, "met": self.is_met, "examples": examples}


def _describe_costs(best: SlimRow, full: SlimRow) -> str:
    """Return size and time of the best candidate beside the full model's."""
    costs = [f"{best.megabytes:.1f} MB of weights instead of {full.megabytes:.1f}"]
    if best.ms_per_query is not None and full.ms_per_query is not None:
        costs.append(f"takes {best.ms_per_query:.2f} ms per query instead of {full.ms_per_query:.2f}")
    if best.speed is not None:
        costs.append(f"encodes {best.speed:.1f} times as many documents per second")
    return join_names(costs)
