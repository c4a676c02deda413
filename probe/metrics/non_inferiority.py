"""Non-inferiority: whether an encoder is shown to lose less than a margin, and what the queries can show at all."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, hypot, log
from statistics import NormalDist

import numpy as np

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
    "resolution",
    "skew_corrected_p_values",
]

PASSED, NOT_SHOWN, WORSE, NOT_TESTED = "passed", "not shown", "worse", "not tested"
# With fewer no test of skewed differences keeps its level.
FEWEST_QUERIES = 20
DEFAULT_MARGIN = 0.01
# Below, 10,000 resamples say too little of a p-value; above, a test shows nothing.
_LEAST_ALPHA, _MOST_ALPHA = 0.001, 0.2
# A standard deviation that is nothing but rounding.
_NO_SPREAD = 1e-12


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
        if self.keep is not None:
            return (1 - self.keep) * baselines
        return np.full_like(baselines, DEFAULT_MARGIN if self.margin is None else self.margin)

    def __str__(self) -> str:
        if self.keep is not None:
            return f"keep {100 * self.keep:.4g}% of the baseline's score"
        return f"lose less than {DEFAULT_MARGIN if self.margin is None else self.margin:g}"


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
    have to reject: the paired randomisation test, exact where the differences are symmetric, and Student's test
    corrected for skewness, because they seldom are: an encoder that fails on few queries has few and large losses.
    Neither sees a loss that is in none of the queries. So nothing is tested unless the queries for which the baseline
    finds something would hold, with a probability of 1 - alpha, at least one that the candidate loses, if it lost whole
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
        return [Judgement(NOT_TESTED, float(margin), reason=reason) for margin in goal.allow(baselines).mean(axis=1)]
    kept = candidates - baselines + goal.allow(baselines)
    tested = zip(_larger(kept, seed), _larger(-kept, seed), strict=True)
    return [
        _judge(row, full, goal, p_value=p_value, p_worse=p_worse)
        for row, full, (p_value, p_worse) in zip(kept, baselines, tested, strict=True)
    ]


def _judge(kept: Scores, full: Scores, goal: GateGoal, *, p_value: float, p_worse: float) -> Judgement:
    """Judge one candidate.

    Args:
        kept: Its difference to the baseline plus what it may lose, per query `(Q,)`.
        full: The baseline's scores `(Q,)`.
        goal: What is allowed.
        p_value: Of a loss of the margin or more.
        p_worse: Of a loss of the margin or less.
    """
    margin, score, queries = float(goal.allow(full).mean()), float(full.mean()), len(full)
    answered = int((full > 0).sum())
    if not answered:
        return Judgement(NOT_TESTED, margin, reason="the baseline finds nothing, so that there is nothing to lose")
    fewest = count_fewest(margin / score, goal.alpha)
    spread = resolution([kept[None]], goal.alpha, power=POWER)
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


def _larger(kept: Scores, seed: int) -> list[float]:
    pairs = zip(flip_signs(kept, np.positive, seed), skew_corrected_p_values(kept), strict=True)
    return [max(pair) for pair in pairs]


def skew_corrected_p_values(values: Scores) -> list[float]:
    """Return one-sided p-values of Student's test of means of at most 0, corrected for skewness.

    With few large negative values a sample that happens to lack them has a high mean and a small spread, which makes
    Student's statistic reject too often. Its transformation by a monotone cubic (Hall, Journal of the Royal Statistical
    Society B 54, 1992) removes that to first order.

    Args:
        values: One sample per row `(R, N)`, N at least 2.

    Returns:
        The p-value per row.
    """
    from scipy.special import stdtr  # a tenth of a second, which only tests need

    count = values.shape[1]
    centred = values - values.mean(axis=1, keepdims=True)
    spread = centred.std(axis=1)
    flat = spread < _NO_SPREAD
    safe = np.where(flat, 1.0, spread)
    skewness = (centred**3).mean(axis=1) / safe**3 / count**0.5
    statistic = values.mean(axis=1) / safe * (count - 1) ** 0.5
    corrected = statistic + skewness * (statistic**2 / 3 + 1 / 6) + skewness**2 * statistic**3 / 27
    found = np.where(flat, np.where(values.mean(axis=1) > _NO_SPREAD, 0.0, 1.0), stdtr(count - 1, -corrected))
    p_values: list[float] = found.tolist()
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


def resolution(differences: Sequence[Scores], alpha: float, *, power: float = 0.5) -> float:
    """Return the smallest margin that the queries can show for a candidate that is equal on average.

    By the normal approximation, with the variance of the observed differences.

    Args:
        differences: Its differences to the baseline per data set, each `(1, Q)`; of several, the mean is tested.
        alpha: Level of the test.
        power: Probability of showing it.
    """
    if any(one.shape[1] < 2 for one in differences):
        return 1.0
    errors = [float(one.std(ddof=1)) / one.shape[1] ** 0.5 for one in differences]
    error = errors[0] if len(errors) == 1 else hypot(*errors) / len(errors)
    normal = NormalDist()
    quantiles: float = normal.inv_cdf(1 - alpha) + normal.inv_cdf(power)
    return quantiles * error
