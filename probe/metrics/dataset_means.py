"""Statistics of a mean over data sets: every data set counts the same, however many queries it has."""

from collections.abc import Callable, Sequence
from statistics import NormalDist

import numpy as np
from scipy.stats import t as student

from probe.metrics.significance import (
    CONFIDENCE,
    RESAMPLES,
    Scores,
    flip_signs,
    percentile_intervals,
    resamples,
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

    Data sets are resampled, then the queries within each. The bootstrap understates the spread of a mean of few items:
    its standard error is multiplied by sqrt(S / (S - 1)) and by Student's t with S - 1 degrees of freedom (Hesterberg
    2015, section 4). Resampling the queries as well counts their noise twice, so that intervals are too wide rather
    than too narrow where data sets hardly differ.

    Args:
        differences: Per data set, one row per encoder, one difference to the baseline per query `(R, Q_s)`.
        seed: Random seed of the resampling.

    Returns:
        The 95 % interval per row, or None for fewer than `FEWEST_SETS` data sets or a data set with fewer than two
        queries.
    """
    count = len(differences)
    if count < FEWEST_SETS or _lacks_queries(differences):
        return [None] * len(differences[0])
    banks = np.stack([_resampled_means(one, (seed, number)) for number, one in enumerate(differences)])
    rng = np.random.default_rng((seed, count))
    drawn = rng.integers(count, size=(RESAMPLES, count))
    # A data set drawn twice has other resampled queries each time: every slot reads the bank at another offset.
    offsets = rng.choice(RESAMPLES, size=count, replace=False)
    places = (np.arange(RESAMPLES)[:, None] + offsets) % RESAMPLES
    errors = np.mean(banks[drawn, places], axis=1).std(axis=0, ddof=1)
    means = np.mean([one.mean(axis=1) for one in differences], axis=0)
    reach = errors * (count / (count - 1)) ** 0.5 * student.ppf((1 + CONFIDENCE) / 2, count - 1)
    return [(float(mean - one), float(mean + one)) for mean, one in zip(means, reach, strict=True)]


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
    return np.concatenate([drawn @ scores.T / scores.shape[1] for drawn in resamples(scores.shape[1], seed)])


def _flip_weighted(differences: Sequence[Scores], statistic: Callable[[Scores], Scores], seed: int) -> list[float]:
    """Flip signs where every data set has the same weight, however many queries it has."""
    shares = [one / (one.shape[1] * len(differences)) for one in differences]
    return flip_signs(np.concatenate(shares, axis=1), statistic, seed)
