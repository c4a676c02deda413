"""Non-inferiority: whether an encoder is shown to lose less than a margin, and what the queries can show at all."""

from dataclasses import dataclass, replace
from math import ceil, log

import numpy as np
from numpy.typing import NDArray

from probe.errors import CallError, check_number
from probe.metrics.dataset_means import POWER
from probe.metrics.significance import Scores, flip_signs

__all__ = [
    "FEWEST_QUERIES",
    "NOT_SHOWN",
    "NOT_TESTED",
    "PASSED",
    "WORSE",
    "GateGoal",
    "Judgement",
    "count_fewest",
    "judge",
    "likelihood_p_values",
    "non_inferiority_p_values",
]

PASSED, NOT_SHOWN, WORSE, NOT_TESTED = "passed", "not shown", "worse", "not tested"
# With fewer no test of skewed differences keeps its level.
FEWEST_QUERIES = 30
DEFAULT_MARGIN = 0.01
# Below, 10,000 resamples say too little of a p-value; above, a test shows nothing.
_LEAST_ALPHA, _MOST_ALPHA = 0.001, 0.2
# Halvings of the interval in which a multiplier is searched; more are below rounding.
_HALVINGS = 60


@dataclass(frozen=True)
class GateGoal:
    """How much a candidate may lose against a baseline, and how often a worse one may pass.

    Attributes:
        margin: The loss that has to be ruled out, in units of the metric; above 0 and below 1.
        keep: The share of the baseline's score that has to be kept instead; above 0 and below 1.
        alpha: The error rate: how often a candidate that loses exactly that much passes at most.
    """

    margin: float | None = None
    keep: float | None = None
    alpha: float = 0.05

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            CallError: One is out of range, or margin and share are both given.
        """
        if self.margin is not None and self.keep is not None:
            raise CallError("--margin and --keep are two ways to say it: give one")
        if self.margin is not None and not 0 < self.margin < 1:
            raise CallError(f"--margin {self.margin:g}: expected a difference above 0 and below 1, such as 0.01")
        if self.keep is not None and not 0 < self.keep < 1:
            raise CallError(f"--keep {self.keep:g}: expected a share above 0 and below 1, such as 0.98")
        check_number("--alpha", self.alpha, _LEAST_ALPHA, most=_MOST_ALPHA)

    def allow(self, baselines: Scores) -> Scores:
        """Return by how much each query may lose, for scores of the baseline; same shape.

        An equal loss for all, or an equal share of the baseline's score: then the test is one of the ratio of the means
        and the baseline's own noise is in it.
        """
        return (1 - self.keep) * baselines if self.keep is not None else np.full_like(baselines, self.size(0))

    def size(self, score: float) -> float:
        """Return the margin in units of the metric, for a score of the baseline."""
        if self.keep is not None:
            return (1 - self.keep) * score
        return DEFAULT_MARGIN if self.margin is None else self.margin

    def __str__(self) -> str:
        return (
            f"keep {100 * self.keep:.4g}% of the baseline's score" if self.keep else f"lose less than {self.size(0):g}"
        )


@dataclass(frozen=True)
class Judgement:
    """What the queries of a data set say of a candidate.

    Attributes:
        outcome: `passed`, `not shown`, `worse` (shown to lose more than the margin) or `not tested`.
        margin: The loss to be ruled out, in units of the metric.
        p_value: Of a loss of the margin or more; None if there are too few queries for any test.
        p_worse: Of a loss of the margin or less, likewise.
        detectable: The smallest margin that so many queries show with a power of 80 % for a candidate that is equal on
            average; None where it cannot be estimated.
        needed: The number of queries that show the margin with that power for such a candidate, likewise.
        reason: Why nothing was tested; empty otherwise.
    """

    outcome: str
    margin: float
    p_value: float | None = None
    p_worse: float | None = None
    detectable: float | None = None
    needed: int | None = None
    reason: str = ""


def judge(candidates: Scores, baselines: Scores, goal: GateGoal, *, seed: int) -> list[Judgement]:
    """Test whether candidates lose less than is allowed.

    The p-value is the larger one of two tests of the per-query differences plus what each query may lose, so that both
    have to reject: the paired randomisation test, exact where the differences are symmetric, and the empirical
    likelihood ratio, because they seldom are: an encoder that fails on few queries has few and large losses. Neither
    sees a loss that is in none of the queries. So nothing is tested unless the queries for which the baseline finds
    something would hold, with a probability of 1 - alpha, at least one that the candidate loses, if it lost whole
    queries until they made up the margin.

    Args:
        candidates: One row per candidate, one value from 0 to 1 per query `(R, Q)`.
        baselines: The baseline's values for the same queries, per candidate `(R, Q)`.
        goal: What is allowed.
        seed: Random seed of the randomisation test, the same for every row.

    Returns:
        The judgement per row.
    """
    if candidates.shape[1] < 2:
        reason = _describe_few(candidates.shape[1], FEWEST_QUERIES)
        return [Judgement(NOT_TESTED, goal.size(float(full.sum())), reason=reason) for full in baselines]
    kept = candidates - baselines + goal.allow(baselines)
    freedom = _count_freedom(candidates, baselines)
    # Both directions at once, so that they share the random signs.
    both = _larger(np.concatenate([kept, -kept]), np.tile(freedom, 2), seed)
    tested = zip(both[: len(kept)], both[len(kept) :], strict=True)
    return [
        _judge(row, full, goal, freedom=int(degrees), p_values=p_values)
        for row, full, degrees, p_values in zip(kept, baselines, freedom, tested, strict=True)
    ]


def non_inferiority_p_values(scores: Scores, baseline: Scores, margin: float, *, seed: int) -> list[float]:
    """Return one-sided p-values against being worse by a margin or more.

    The null hypothesis is that an encoder's mean is lower than the baseline's by at least `margin`. The p-value is the
    larger one of the two tests of `judge`.

    Args:
        scores: One row per encoder, one value per query `(R, Q)`.
        baseline: Values of the baseline for the same queries `(Q,)`.
        margin: Non-inferiority margin, above 0.
        seed: Random seed of the randomisation test, the same for every row.

    Returns:
        The p-value per row, at least 1 / (RESAMPLES + 1).
    """
    return _larger(scores - baseline + margin, _count_freedom(scores, baseline), seed)


def _count_freedom(scores: Scores, baselines: Scores) -> NDArray[np.int64]:
    """Return the degrees of freedom per row: the queries that differ and one more (see `likelihood_p_values`)."""
    freedom: NDArray[np.int64] = np.minimum((scores != baselines).sum(axis=1) + 1, scores.shape[1] - 1)
    return np.maximum(freedom, 1)


def _judge(kept: Scores, full: Scores, goal: GateGoal, *, freedom: int, p_values: tuple[float, float]) -> Judgement:
    """Judge one candidate.

    Args:
        kept: Its difference to the baseline plus what it may lose, per query `(Q,)`.
        full: The baseline's scores `(Q,)`.
        goal: What is allowed.
        freedom: Degrees of freedom of its tests.
        p_values: Of a loss of the margin or more, and of a loss of the margin or less.
    """
    p_value, p_worse = p_values
    score, queries = float(full.mean()), len(full)
    margin = goal.size(score)
    answered = int((full > 0).sum())
    if not answered:
        return Judgement(NOT_TESTED, margin, reason="the baseline finds nothing, so that there is nothing to lose")
    fewest = count_fewest(margin / score, goal.alpha)
    spread = _quantiles(goal.alpha, freedom) * float(kept.std(ddof=1)) / queries**0.5
    # For a smaller margin the queries would be too few.
    floor = score * (1 - goal.alpha ** (1 / answered))
    outcome = PASSED if p_value < goal.alpha else WORSE if p_worse < goal.alpha else NOT_SHOWN
    measured = Judgement(
        outcome,
        margin,
        p_value,
        p_worse,
        detectable=max(spread, floor) if answered >= FEWEST_QUERIES else None,
        needed=ceil(max(fewest * queries / answered, queries * (spread / margin) ** 2)),
    )
    if answered >= fewest:
        return measured
    return replace(measured, outcome=NOT_TESTED, reason=_describe_few(answered, fewest))


def _describe_few(queries: int, fewest: int) -> str:
    count = "1 query" if queries == 1 else f"{queries} queries"
    return f"the baseline finds something for {count}, at least {fewest} are needed"


def _quantiles(alpha: float, freedom: int) -> float:
    """Return by how many standard errors a margin is shown at a level with a power of `POWER`."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 1 - alpha) + stdtrit(freedom, POWER))


def _larger(kept: Scores, freedom: NDArray[np.int64], seed: int) -> list[float]:
    pairs = zip(flip_signs(kept, np.positive, seed), likelihood_p_values(kept, freedom), strict=True)
    return [max(pair) for pair in pairs]


def likelihood_p_values(values: Scores, freedom: NDArray[np.int64]) -> list[float]:
    """Return one-sided p-values of empirical likelihood ratio tests of means of at most 0 (Owen, Biometrika 75, 1988).

    Student's test takes a sample that happens to hold few of the rare large losses for one of a high mean and a small
    spread, and rejects too often. The likelihood ratio weights the values instead so that their mean is 0, and asks how
    much less likely that is: with losses that are all equal it is the ratio of two binomial likelihoods.

    Args:
        values: One sample per row `(R, N)`.
        freedom: Degrees of freedom of Student's distribution per row `(R,)`, to which the signed root of the ratio is
            compared. Where most values are equal, those that differ and one more hold the stated rate in simulations of
            30 and more values; the normal distribution does not.

    Returns:
        The p-value per row.
    """
    from scipy.special import stdtr  # a tenth of a second, which only tests need

    least, most, means = values.min(axis=1), values.max(axis=1), values.mean(axis=1)
    inside = (least < 0) & (most > 0)
    # The weights are 1 / (1 + multiplier * value), all of them positive.
    low, high = (-1 / np.where(inside, end, 1.0) * (1 - 1e-9) for end in (most, least))
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        weighted = (values / (1 + np.where(inside, middle, 0.0)[:, None] * values)).sum(axis=1)
        low, high = np.where(weighted > 0, middle, low), np.where(weighted > 0, high, middle)
    ratios = 2 * np.log1p(np.where(inside, middle, 0.0)[:, None] * values).sum(axis=1)
    # Values on one side of 0 have no weights with a mean of 0.
    roots = np.copysign(np.where(inside, np.sqrt(np.maximum(ratios, 0.0)), np.inf), means)
    p_values: list[float] = stdtr(freedom, -np.where(means == 0, 0.0, roots)).tolist()
    return p_values


def count_fewest(share: float, alpha: float) -> int:
    """Return the number of queries with an answer of the baseline below which nothing is tested.

    If a candidate lost that answer for a share of the queries, a sample of N would hold none of them with a probability
    of (1 - share)^N, and everything would look well. N is such that this probability is at most alpha: for small shares
    and alpha 0.05 about 3 / share, the rule of three.

    Args:
        share: The margin as a share of the baseline's score.
        alpha: The error rate.
    """
    return FEWEST_QUERIES if share >= 1 else max(FEWEST_QUERIES, ceil(log(alpha) / log(1 - share)))
