"""Statistics of a mean over data sets: every data set counts the same, however many queries it has."""

from collections.abc import Callable, Sequence
from statistics import NormalDist

import numpy as np

from probe.metrics.significance import (
    CONFIDENCE,
    RESAMPLES,
    Scores,
    flip_signs,
    percentile_intervals,
)

__all__ = [
    "FEWEST_SETS",
    "POWER",
    "detectable_differences",
    "mean_intervals",
    "mean_p_values",
    "population_intervals",
    "stratified_non_inferiority_p_values",
]

# With fewer data sets nothing is said of data sets in general.
FEWEST_SETS = 3
POWER = 0.8

_RESAMPLES_AT_ONCE = 100

Interval = tuple[float, float]


def mean_intervals(scores: Sequence[Scores], seed: int) -> list[Interval | None]:
    """Return percentile bootstrap intervals of the mean over these very data sets.

    The queries of every data set are resampled by themselves, as in a stratified sample (Davison and Hinkley 1997,
    section 3.2); the data sets are fixed.

    Args:
        scores: Per data set, one row per encoder, one value per query `(R, Q_s)`.
        seed: Random seed of the resampling.

    Returns:
        The 95 % interval per row, or None if a data set has fewer than two queries.
    """
    if _lacks_queries(scores):
        return [None] * len(scores[0])
    means = [_resampled_means(one, (seed, number)) for number, one in enumerate(scores)]
    return [*percentile_intervals(np.mean(means, axis=0))]


def population_intervals(differences: Sequence[Scores], seed: int) -> list[Interval | None]:
    """Return two-level bootstrap intervals of the mean difference over data sets in general.

    Data sets are resampled, then the queries within each. The means of the data sets are shrunk towards their mean
    before, because the noise of the queries is in them already and the second level would count it twice (Davison and
    Hinkley 1997, section 3.8). The bootstrap standard error is multiplied by Student's t with S - 1 degrees of freedom
    (Hesterberg 2015), which holds its rate where data sets have unequal variances, too (Ibragimov and Mueller 2010).
    Where the means spread less than the noise of the queries explains, the error is that of the queries, of which
    there are many: Student's t then multiplies the spread, the normal quantile multiplies the error, and the wider
    interval counts.

    Args:
        differences: Per data set, one row per encoder, one difference to the baseline per query `(R, Q_s)`.
        seed: Random seed of the resampling.

    Returns:
        The 95 % interval per row, or None for fewer than `FEWEST_SETS` data sets or a data set with fewer than two
        queries.
    """
    from scipy.stats import t as student  # half a second, which only tables of three data sets need

    count = len(differences)
    if count < FEWEST_SETS or _lacks_queries(differences):
        return [None] * len(differences[0])
    means = np.stack([one.mean(axis=1) for one in differences])
    centre = means.mean(axis=0)
    shrunk = centre + _shrinkage(differences) * (means - centre)
    errors = _resample_sets(differences, shrunk, seed).std(axis=0, ddof=1)
    upper, spread = (1 + CONFIDENCE) / 2, means.std(axis=0, ddof=1) / count**0.5
    reach = np.maximum(NormalDist().inv_cdf(upper) * errors, student.ppf(upper, count - 1) * np.minimum(errors, spread))
    return [(float(mean - one), float(mean + one)) for mean, one in zip(centre, reach, strict=True)]


def mean_p_values(differences: Sequence[Scores], seed: int) -> list[float | None]:
    """Return two-sided p-values of paired randomisation tests of the mean over data sets.

    The signs of the differences are flipped query by query, as in the test within one data set; the statistic is the
    mean over data sets of the mean difference within each, so that the test is stratified by data set.

    Args:
        differences: Per data set, one row per encoder, one difference to the baseline per query `(R, Q_s)`.
        seed: Random seed of the flips, the same for every row.

    Returns:
        The p-value per row, or None if a data set has fewer than two queries.
    """
    if _lacks_queries(differences):
        return [None] * len(differences[0])
    return [*_flip_weighted(differences, np.abs, seed)]


def stratified_non_inferiority_p_values(
    scores: Sequence[Scores], baselines: Sequence[Scores], margin: float, *, seed: int
) -> list[float]:
    """Return one-sided p-values of paired randomisation tests against a mean worse by a margin or more.

    Args:
        scores: Per data set, one row per encoder, one value per query `(R, Q_s)`.
        baselines: Per data set, the values of the baseline for the same queries `(Q_s,)`.
        margin: Non-inferiority margin of the mean over data sets, above 0.
        seed: Random seed of the flips, the same for every row.

    Returns:
        The p-value per row, at least 1 / (RESAMPLES + 1).
    """
    shifted = [one - baseline + margin for one, baseline in zip(scores, baselines, strict=True)]
    return _flip_weighted(shifted, np.positive, seed)


def detectable_differences(differences: Sequence[Scores]) -> list[float | None]:
    """Return the smallest true differences of the mean that a test at 5 % shows with a power of 80 %.

    By the normal approximation, with the variance of the observed differences and no correction for several encoders.

    Args:
        differences: Per data set, one row per encoder, one difference to the baseline per query `(R, Q_s)`.

    Returns:
        The difference per row, or None if a data set has fewer than two queries.
    """
    if _lacks_queries(differences):
        return [None] * len(differences[0])
    variances = sum(one.var(axis=1, ddof=1) / one.shape[1] for one in differences)
    quantiles = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) + NormalDist().inv_cdf(POWER)
    found: list[float | None] = (quantiles * np.sqrt(variances) / len(differences)).tolist()
    return found


def _lacks_queries(scores: Sequence[Scores]) -> bool:
    return any(one.shape[1] < 2 for one in scores)


def _resampled_means(scores: Scores, seed: tuple[int, int]) -> Scores:
    """Return the means of `RESAMPLES` resamples of the queries, `(B, R)`."""
    queries = scores.shape[1]
    rng = np.random.default_rng(seed)
    parts = []
    for _ in range(RESAMPLES // _RESAMPLES_AT_ONCE):
        # Counted, not drawn as multinomials, which take five times as long.
        drawn = rng.integers(queries, size=(_RESAMPLES_AT_ONCE, queries))
        drawn += np.arange(_RESAMPLES_AT_ONCE)[:, None] * queries
        counts = np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape)
        parts.append(counts @ scores.T / queries)
    return np.concatenate(parts)


def _shrinkage(differences: Sequence[Scores]) -> Scores:
    """Return per row by what to multiply deviations of the sets' means, so that two levels have the right variance."""
    means = np.stack([one.mean(axis=1) for one in differences])
    noise = np.mean([one.var(axis=1, ddof=1) / one.shape[1] for one in differences], axis=0)
    between, observed = np.maximum(0.0, means.var(axis=0, ddof=1) - noise), means.var(axis=0)
    found: Scores = np.sqrt(np.divide(between, observed, out=np.zeros_like(observed), where=observed > 0))
    return found


def _resample_sets(differences: Sequence[Scores], means: Scores, seed: int) -> Scores:
    """Return means of resampled data sets that have these means `(S, R)` and resampled queries, `(B, R)`."""
    count = len(differences)
    banks = np.empty((count, RESAMPLES, means.shape[1]))
    for number, (one, mean) in enumerate(zip(differences, means, strict=True)):
        banks[number] = _resampled_means(one, (seed, number))
        banks[number] += mean - one.mean(axis=1)
    rng = np.random.default_rng((seed, count))
    drawn = rng.integers(count, size=(RESAMPLES, count))
    # A data set drawn twice has other resampled queries each time: every slot reads the bank at another offset.
    offsets = rng.choice(RESAMPLES, size=count, replace=False)
    places = (np.arange(RESAMPLES)[:, None] + offsets) % RESAMPLES
    total = np.zeros(banks.shape[1:])
    for slot in range(count):
        total += banks[drawn[:, slot], places[:, slot]]
    return total / count


def _flip_weighted(differences: Sequence[Scores], statistic: Callable[[Scores], Scores], seed: int) -> list[float]:
    """Flip signs where every data set has the same weight, however many queries it has."""
    # 1 for a single data set, and for data sets of one size: exactly the test without weights.
    average = sum(one.shape[1] for one in differences) / len(differences)
    weighted = [one * (average / one.shape[1]) for one in differences]
    return flip_signs(np.concatenate(weighted, axis=1), statistic, seed)
