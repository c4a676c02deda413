"""Statistics over queries: confidence intervals, paired tests, correction for multiple comparisons."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "CONFIDENCE",
    "RESAMPLES",
    "bootstrap_intervals",
    "flip_signs",
    "holm",
    "paired_p_values",
    "percentile_intervals",
    "resamples",
    "swaps",
]

RESAMPLES = 10_000
CONFIDENCE = 0.95

_ROWS_AT_ONCE = 500

Scores = NDArray[np.float64]


def bootstrap_intervals(scores: Scores, seed: int) -> list[tuple[float, float] | None]:
    """Return percentile bootstrap intervals of means over queries (Efron 1979).

    All rows share the same resamples of the queries.

    Args:
        scores: One row per encoder, one value per query `(R, Q)`.
        seed: Random seed of the resampling.

    Returns:
        The 95 % interval per row, or None for fewer than two queries.
    """
    queries = scores.shape[1]
    if queries < 2:
        return [None] * len(scores)
    means = [drawn @ scores.T / queries for drawn in resamples(queries, seed)]
    return [*percentile_intervals(np.concatenate(means))]


def resamples(count: int, seed: int | Sequence[int]) -> Iterator[NDArray[np.int64]]:
    """Yield bootstrap resamples in batches, as the number of times each of `count` items was drawn.

    Args:
        count: Number of items N.
        seed: Random seed of the resampling.

    Yields:
        Integers `(B, N)`, each row summing to N; `RESAMPLES` rows in total.
    """
    rng = np.random.default_rng(seed)
    share = np.full(count, 1 / count)
    for _ in range(RESAMPLES // _ROWS_AT_ONCE):
        yield rng.multinomial(count, share, size=_ROWS_AT_ONCE)


def percentile_intervals(values: Scores) -> list[tuple[float, float]]:
    """Return the 95 % interval of each column of resampled values `(B, R)`."""
    tail = (1 - CONFIDENCE) / 2
    bounds = np.quantile(values, [tail, 1 - tail], axis=0)
    return [(float(low), float(high)) for low, high in bounds.T]


def swaps(count: int, seed: int) -> Iterator[NDArray[np.int8]]:
    """Yield the draws of a paired randomisation test in batches: 1 for swapped pairs, else 0.

    Args:
        count: Number of pairs N.
        seed: Random seed of the draws.

    Yields:
        0 or 1, `(B, N)`; `RESAMPLES` rows in total.
    """
    rng = np.random.default_rng(seed)
    for _ in range(RESAMPLES // _ROWS_AT_ONCE):
        yield rng.integers(0, 2, size=(_ROWS_AT_ONCE, count), dtype=np.int8)


def paired_p_values(scores: Scores, baseline: Scores, seed: int) -> list[float | None]:
    """Return two-sided p-values of paired randomisation tests (Smucker et al., CIKM 2007).

    The sign of every query's difference is flipped at random; the p-value is the share of flips whose mean difference
    is at least as large as the observed one (which is included).

    Args:
        scores: One row per encoder, one value per query `(R, Q)`.
        baseline: Values of the baseline for the same queries `(Q,)`.
        seed: Random seed of the flips, the same for every row.

    Returns:
        The p-value per row, at least 1 / (RESAMPLES + 1), or None for fewer than two queries.
    """
    if scores.shape[1] < 2:
        return [None] * len(scores)
    return [*flip_signs(scores - baseline, np.abs, seed)]


def flip_signs(differences: Scores, statistic: Callable[[Scores], Scores], seed: int) -> list[float]:
    """Return the share of random sign flips with a sum at least as extreme as the observed one.

    Args:
        differences: One row per encoder, one value per query `(R, Q)`.
        statistic: Applied to the sums: `np.abs` for a two-sided test, `np.positive` for a one-sided one.
        seed: Random seed of the flips, the same for every row.

    Returns:
        The p-value per row, at least 1 / (RESAMPLES + 1).
    """
    # Tolerance for floating-point sums in different order.
    observed = statistic(differences.sum(axis=1)) - 1e-9
    extreme = np.zeros(len(differences), np.int64)
    for drawn in swaps(differences.shape[1], seed):
        extreme += (statistic(_flipped_sums(differences, drawn)) >= observed).sum(axis=0)
    return [(int(count) + 1) / (RESAMPLES + 1) for count in extreme]


def _flipped_sums(differences: Scores, drawn: NDArray[np.int8]) -> Scores:
    """Return the sums `(B, R)` with the signs that were drawn."""
    # In place: the signs for all of BEIR have 200 MB.
    signs = drawn.astype(np.float64)
    signs *= 2.0
    signs -= 1.0
    sums: Scores = signs @ differences.T
    return sums


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for multiple comparisons (Holm 1979), in the same order, at most 1."""
    order = np.argsort(p_values, kind="stable")
    scaled = np.arange(len(order), 0, -1) * np.array(p_values)[order]
    corrected = np.empty(len(order))
    corrected[order] = np.maximum.accumulate(np.minimum(1.0, scaled))
    found: list[float] = corrected.tolist()
    return found
