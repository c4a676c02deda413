"""Honest statistics over queries: intervals, paired tests, correction for many comparisons."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["CONFIDENCE", "RESAMPLES", "bootstrap_interval", "holm", "paired_p_value"]

RESAMPLES = 10_000
CONFIDENCE = 0.95

_ROWS_AT_ONCE = 500

Scores = NDArray[np.float64]


def bootstrap_interval(scores: Scores, seed: int) -> tuple[float, float] | None:
    """Return the percentile bootstrap interval of the mean over queries (Efron 1979).

    Args:
        scores: One value per query `(Q,)`.
        seed: Of the resampling.

    Returns:
        The 95 % interval, or None for fewer than two queries.
    """
    if len(scores) < 2:
        return None
    rng = np.random.default_rng(seed)
    share = np.full(len(scores), 1 / len(scores))
    means = [rng.multinomial(len(scores), share, size=size) @ scores / len(scores) for size in _chunks()]
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(np.concatenate(means), [tail, 1 - tail])
    return float(low), float(high)


def paired_p_value(scores: Scores, baseline: Scores, seed: int) -> float | None:
    """Return the two-sided p-value of a paired randomisation test (Smucker et al., CIKM 2007).

    The sign of every query's difference is flipped at random; the p-value is the share of flips
    whose mean difference is at least as large as the one observed, the observed one counted in.

    Args:
        scores: One value per query `(Q,)`.
        baseline: The same queries under the baseline `(Q,)`.
        seed: Of the flips.

    Returns:
        The p-value, at least 1 / (RESAMPLES + 1), or None for fewer than two queries.
    """
    if len(scores) < 2:
        return None
    rng = np.random.default_rng(seed)
    differences = scores - baseline
    # A tolerance, because the same sum in another order differs in its last bits.
    observed = abs(differences.sum()) - 1e-9
    extreme = 0
    for size in _chunks():
        signs = rng.integers(0, 2, size=(size, len(scores)), dtype=np.int8) * 2.0 - 1.0
        extreme += int((np.abs(signs @ differences) >= observed).sum())
    return (extreme + 1) / (RESAMPLES + 1)


def _chunks() -> list[int]:
    return [_ROWS_AT_ONCE] * (RESAMPLES // _ROWS_AT_ONCE)


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for the number of comparisons (Holm 1979).

    Args:
        p_values: The uncorrected values.

    Returns:
        The corrected values, in the same order, each at most 1.
    """
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = largest
    return corrected
