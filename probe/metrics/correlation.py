"""Correlations with gold scores, their bootstrap and paired tests; pure functions."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from probe.metrics.significance import RESAMPLES, resamples

__all__ = ["highest_spearman", "paired_bootstrap", "pearson", "resample_spearman", "spearman"]

Wide = NDArray[np.float64]


@dataclass(frozen=True)
class _Ties:
    """Values in ascending order, grouped by equality."""

    values: Wide

    @cached_property
    def order(self) -> NDArray[np.int64]:
        """Indices of the values in ascending order."""
        return np.argsort(self.values, kind="stable")

    @cached_property
    def _fresh(self) -> NDArray[np.bool_]:
        ordered = self.values[self.order]
        return np.concatenate([[True], ordered[1:] != ordered[:-1]])

    def ranks(self, counts: NDArray[np.int64]) -> Wide:
        """Return the average rank of every value, with values repeated by their counts.

        Args:
            counts: Number of repetitions of each value, `(B, P)`.

        Returns:
            Ranks minus one half, `(B, P)`, so their mean is half the number of values.
        """
        sizes = np.add.reduceat(counts[:, self.order], np.flatnonzero(self._fresh), axis=1).astype(np.float64)
        middles = np.cumsum(sizes, axis=1) - sizes / 2
        groups = np.empty(len(self.order), np.int64)
        groups[self.order] = np.cumsum(self._fresh) - 1
        ranks: Wide = middles[:, groups]
        return ranks


def spearman(values: Wide, gold: Wide) -> float | None:
    """Return Spearman's correlation of `(P,)` and `(P,)` with averaged ties, as in scipy; None if one is constant."""
    once = np.ones((1, len(gold)), np.int64)
    return pearson(_Ties(values).ranks(once)[0], _Ties(gold).ranks(once)[0])


def pearson(values: Wide, gold: Wide) -> float | None:
    """Return Pearson's correlation of `(P,)` and `(P,)`; None if one is constant."""
    if np.ptp(values) == 0 or np.ptp(gold) == 0:
        return None
    left, right = values - values.mean(), gold - gold.mean()
    return float(np.clip(left @ right / np.sqrt((left @ left) * (right @ right)), -1, 1))


def highest_spearman(gold: Wide) -> float | None:
    """Return the highest Spearman correlation that values without ties can reach; ties in `gold` lower it."""
    return spearman(np.arange(len(gold), dtype=np.float64), np.sort(gold))


def resample_spearman(rows: Sequence[Wide], gold: Wide, seed: int) -> Wide:
    """Return Spearman correlations of bootstrap resamples of the pairs; ranks are recomputed in every resample.

    Args:
        rows: R arrays of values `(P,)`; all share the same resamples.
        gold: `(P,)`.
        seed: Random seed of the resampling.

    Returns:
        `(RESAMPLES, R)`; 0 for constant resamples.
    """
    tied, gold_ties = [_Ties(values) for values in rows], _Ties(gold)
    found = []
    for counts in resamples(len(gold), seed):
        right = gold_ties.ranks(counts)
        found.append(np.stack([_correlate(values.ranks(counts), right, counts) for values in tied], axis=1))
    return np.concatenate(found)


def _correlate(left: Wide, right: Wide, counts: NDArray[np.int64]) -> Wide:
    """Return the correlation `(B,)` of ranks `(B, P)` weighted by their counts."""
    mean = counts.shape[1] / 2
    left, right = left - mean, right - mean
    weighted = counts * left
    shared = np.einsum("bp,bp->b", weighted, right)
    spread = np.sqrt(np.einsum("bp,bp->b", weighted, left) * np.einsum("bp,bp,bp->b", counts, right, right))
    correlations: Wide = np.divide(shared, spread, out=np.zeros_like(shared), where=spread > 0)
    return correlations


def paired_bootstrap(resampled: Wide, baseline: Wide) -> list[float]:
    """Return two-sided p-values of paired bootstrap tests (Efron and Tibshirani 1993, chapter 15).

    The p-value is twice the share of resamples whose difference has the opposite sign (the observed one is included).

    Args:
        resampled: Resampled correlations, one column per row of the table, `(RESAMPLES, R)`.
        baseline: Resampled correlations of the baseline, `(RESAMPLES,)`.

    Returns:
        The p-value per row, at most 1.
    """
    differences = resampled - baseline[:, None]
    # Tolerance for equal rankings that differ in their last bits.
    below, above = (differences < 1e-12).sum(axis=0), (differences > -1e-12).sum(axis=0)
    fewer = np.minimum(below, above)
    return [min(1.0, 2 * (int(count) + 1) / (RESAMPLES + 1)) for count in fewer]
