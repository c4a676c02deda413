"""The result of a gate: whether a candidate is shown to be good enough in place of a baseline, on every data set."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, ClassVar

from probe.metrics.dataset_means import POWER
from probe.metrics.non_inferiority import NOT_SHOWN, NOT_TESTED, PASSED, WORSE
from probe.results.formats import (
    EMPTY,
    brief_data_line,
    brief_model_line,
    join_marks,
    join_names,
    metric_title,
    model_lines,
    p_words,
    retrieval_data_line,
    show_interval,
    show_number,
    show_p_value,
    show_signed_interval,
)
from probe.results.result import Column, Result

__all__ = ["GateResult", "GateRow"]

_RULE = "every data set has to pass; the error rate then needs no correction for their number (intersection-union test)"


@dataclass(frozen=True)
class GateRow:
    """The test on one data set; what does not apply is None.

    Attributes:
        dataset: Its name.
        split: Its split.
        queries: Number of queries with relevance labels.
        baseline: The baseline's score.
        baseline_ci95: Its 95 % interval.
        candidate: The candidate's score.
        candidate_ci95: Its 95 % interval.
        delta: Difference of the candidate to the baseline.
        delta_ci95: Its 95 % interval.
        margin: The loss to be ruled out, in units of the metric.
        p_value: Of a loss of the margin or more; below alpha it is ruled out.
        p_worse: Of a loss of the margin or less; below alpha the candidate is shown to be worse.
        detectable: The smallest margin that so many queries show with a power of 80 % for a candidate that is equal on
            average.
        needed: The number of queries that show the margin with that power for such a candidate.
        outcome: `passed`, `not shown`, `worse` or `not tested`.
        reason: Why it was not tested; null otherwise.
        limited: Whether only a sample of the documents or queries was read.
        transductive: Whether the candidate was trained or fitted on these same documents.
        labels: `none`, or the splits or files whose relevance labels the candidate learned.
    """

    dataset: str
    split: str
    queries: int
    baseline: float
    baseline_ci95: tuple[float, float] | None
    candidate: float
    candidate_ci95: tuple[float, float] | None
    delta: float
    delta_ci95: tuple[float, float] | None
    margin: float
    p_value: float | None
    p_worse: float | None
    detectable: float | None
    needed: int | None
    outcome: str
    reason: str | None = None
    limited: bool = False
    transductive: bool = False
    labels: str = "none"

    @property
    def name(self) -> str:
        """The data set and its split."""
        return f"{self.dataset} ({self.split})"


@dataclass(frozen=True, repr=False)
class GateResult(Result):
    """A candidate tested against a baseline on one or several data sets.

    Attributes:
        rows: One per data set, in the order they were given.
    """

    kind: ClassVar[str] = "gate"
    column_names: ClassVar[tuple[str, ...]] = (
        *("dataset", "queries", "baseline", "baseline_ci", "candidate", "candidate_ci", "delta", "ci95", "margin"),
        *("p", "p_worse", "shows", "needs", "outcome", "note"),
    )

    rows: tuple[GateRow, ...]

    @property
    def metric(self) -> str:
        """The metric of the scores."""
        return str(self.settings["metric"])

    @property
    def candidate(self) -> str:
        """The encoder that is tested."""
        return str(self.settings["candidate"])

    @property
    def baseline(self) -> str:
        """The encoder it is tested against."""
        return str(self.settings["baseline"])

    @property
    def is_passed(self) -> bool:
        """Whether the candidate passes on every data set that was asked for."""
        return not self._failed and all(row.outcome == PASSED for row in self.rows)

    @property
    def _failed(self) -> list[str]:
        return list(self.settings.get("failed", ()))

    def columns(self) -> list[Column]:
        """Return the columns of the table."""
        return [
            Column("data set", lambda row: row.name, left=True, key="dataset"),
            Column("queries", lambda row: f"{row.queries:,}", drop=3),
            Column("baseline", lambda row: f"{row.baseline:.4f}"),
            Column("CI baseline", lambda row: show_interval(row.baseline_ci95), drop=6, key="baseline_ci"),
            Column("candidate", lambda row: f"{row.candidate:.4f}"),
            Column("CI candidate", lambda row: show_interval(row.candidate_ci95), drop=6, key="candidate_ci"),
            Column("Δ", lambda row: show_number(row.delta, "+.4f"), key="delta"),
            Column("95% CI of Δ", lambda row: show_signed_interval(row.delta_ci95), drop=2, key="ci95"),
            Column("margin", lambda row: f"{row.margin:.4f}", drop=1),
            Column("p", lambda row: show_p_value(row.p_value)),
            Column("p worse", lambda row: show_p_value(row.p_worse), drop=8, key="p_worse"),
            Column("shows", lambda row: show_number(row.detectable, ".4f"), drop=4),
            Column("needs", lambda row: show_number(row.needed, ",d"), drop=7),
            Column("outcome", lambda row: row.outcome, left=True),
            Column("note", _mark, left=True, drop=5),
        ]

    def emphasized(self) -> Collection[int]:
        """Return the indices of the data sets that do not pass."""
        return [number for number, row in enumerate(self.rows) if row.outcome != PASSED]

    def title(self) -> str:
        """Return what is tested against what, and how."""
        synthetic = " · synthetic queries" if self.settings["dataset"]["synthetic"] else ""
        test = f"{metric_title(self.metric)}, alpha {self.settings['alpha']:g}"
        return f"{self.candidate} in place of {self.baseline} · {self.settings['goal']} · {test}{synthetic}"

    def verdict(self) -> str:
        """Return whether the candidate passes; with one data set, what its test shows, with several, which fail."""
        begin = "Passed" if self.is_passed else "Not passed"
        if len(self.rows) == 1 and not self._failed:
            return f"{begin}: {self._describe(self.rows[0])}"
        if self.is_passed:
            worst = max(self.rows, key=lambda row: row.p_value or 0.0)
            return (
                f"{begin}: {self.candidate} is shown to lose less than the margin against {self.baseline} on each of "
                f"{len(self.rows)} data sets; the least certain is {worst.name}, {p_words(worst.p_value or 0.0)}."
            )
        parts = []
        for outcome in (WORSE, NOT_SHOWN, NOT_TESTED):
            names = [row.name for row in self.rows if row.outcome == outcome]
            names += self._failed if outcome == NOT_TESTED else []
            parts += [f"{outcome} on {join_names(names)}"] if names else []
        return f"{begin}: {self.candidate} has to pass on every data set, and is {'; '.join(parts)}."

    def conclusions(self) -> list[str]:
        """Return the verdict, the test on every data set if there are several, and remarks."""
        several = len(self.rows) > 1 or self._failed
        sets = [f"{row.name}, {row.outcome}: {self._describe(row)}" for row in self.rows] if several else []
        return [self.verdict(), *sets, *self.settings["remarks"]]

    def reasons(self) -> list[str]:
        """Return per data set that does not pass why it does not, in a few words."""
        found = [f"{row.name}: {row.reason or row.outcome}" for row in self.rows if row.outcome != PASSED]
        return [*found, *(f"{name}: {NOT_TESTED}" for name in self._failed)]

    def _describe(self, row: GateRow) -> str:
        """Return what the test on a data set shows, in one to three sentences."""
        sample = " This was a sample of the data set, not the whole." if row.limited else ""
        if row.outcome == NOT_TESTED:
            return f"nothing is tested, because {row.reason}.{self._describe_needs(row)}{sample}"
        size = f"{row.margin:.4f} {metric_title(self.metric)}"
        scores = f"{row.candidate:.4f} against {row.baseline:.4f} on {row.queries:,} queries"
        if row.outcome == PASSED:
            test = f"a loss of {size} or more is ruled out ({p_words(row.p_value or 0.0)})"
            same = " Both score the same on every query." if row.delta_ci95 == (0.0, 0.0) and not row.delta else ""
            return f"{self.candidate} has {scores}; {test}.{same}{sample}"
        if row.outcome == WORSE:
            test = f"it is shown to lose more than {size} ({p_words(row.p_worse or 0.0)})"
            return f"{self.candidate} has {scores}; {test}.{sample}"
        test = f"a loss of {size} or more is not ruled out ({p_words(row.p_value or 0.0)})"
        return f"{self.candidate} has {scores}; {test}.{self._describe_needs(row)}{sample}"

    def _describe_needs(self, row: GateRow) -> str:
        """Return which margins the queries can show, and how many queries this one needs."""
        if row.needed is None:
            return ""
        if row.detectable is not None and row.detectable <= row.margin:
            return f" So many queries can show margins of {row.detectable:.2g} or more ({POWER:.0%} power)."
        takes = f"margin of {row.margin:.2g} takes about {row.needed:,} queries ({POWER:.0%} power)."
        if row.detectable is None:
            return f" A {takes}"
        return f" So many queries show margins of {row.detectable:.2g} or more; a {takes}"

    def warnings(self) -> list[str]:
        """Return the warnings that the footer ends with."""
        lines = super().warnings()
        if seen := [row.name for row in self.rows if row.transductive]:
            lines.append(
                f"transductive: {self.candidate} was fitted on the documents of {join_names(seen)}; expect less on "
                "documents added later"
            )
        return [*self.settings.get("left_out", []), *lines]

    def brief(self) -> list[str]:
        """Return what decided the numbers, in three lines."""
        return [
            brief_data_line(self.settings["dataset"]),
            brief_model_line(self.settings["models"]),
            f"p: a loss of the margin or more, one-sided paired test; shows: smallest margin that so many queries show "
            f"({POWER:.0%} power)",
        ]

    def notes(self) -> list[str]:
        """Return everything that decided the numbers."""
        settings, statistics = self.settings, self.settings["statistics"]
        data = list(settings["datasets"].values())
        rules = dict.fromkeys(f"text: {one['title_rule']}; {one['id_rule']}" for one in data)
        return [
            *map(retrieval_data_line, data),
            *model_lines(settings["models"]),
            *rules,
            f"{settings['similarity']}; ties: {settings['ties']}",
            f"goal: {settings['goal']}, in {metric_title(self.metric)}; passed if p < {settings['alpha']:g}; {_RULE}",
            f"p: {statistics['test']}; {statistics['resamples']:,} resamples, seed {statistics['seed']}",
            f"shows, needs: the margin that so many queries show, and the queries that this margin needs, with a power "
            f"of {POWER:.0%} for a candidate that is equal on average; from the spread of the differences",
            f"CI: {statistics['interval']}",
            "versions: " + ", ".join(f"{name} {number}" for name, number in statistics["versions"].items()),
            *self.warnings(),
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {**super().to_dict(), "passed": self.is_passed, "notices": self.warnings()}


def _mark(row: GateRow) -> str:
    marks = {"sample": row.limited, "transductive": row.transductive, f"labels {row.labels}": row.labels != "none"}
    return join_marks(marks) or EMPTY
