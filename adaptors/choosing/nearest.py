"""How near the nearest candidate is where none is good enough, and on which data set it falls behind."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import ceil, hypot, inf
from statistics import NormalDist, fmean
from typing import cast

import numpy as np

from adaptors.choosing.conditions import EVERY, condition_p_values
from adaptors.choosing.recommendation import HeldOutSet, Nearest, SetDifference
from probe.evaluation.records import Evaluation
from probe.layers.hookpoint import Hookpoint
from probe.metrics.dataset_means import mean_intervals
from probe.metrics.significance import Scores, bootstrap_intervals

__all__ = ["SIGNIFICANT", "CandidateScores", "find_nearest", "resolution"]

SIGNIFICANT = 0.05
# Step of the search for the smallest passing margin.
_STEP = 0.0005


@dataclass(frozen=True)
class CandidateScores:
    """The scores of candidates on the held-out queries of every data set.

    Attributes:
        sets: The data sets.
        candidates: Layers below the full depth, without the embeddings; those of the first data set.
        scores: The candidates' scores, per data set `(R, Q_s)`.
        references: The full model's scores, per data set `(Q_s,)`.
        on: `every` or `mean`.
        seed: Random seed of the tests.
    """

    sets: tuple[HeldOutSet, ...]
    candidates: tuple[Evaluation, ...]
    scores: tuple[Scores, ...]
    references: tuple[Scores, ...]
    on: str
    seed: int

    def p_values(self, margin: float) -> list[float]:
        """Return the p-value of every candidate, not yet corrected."""
        return condition_p_values(self.scores, self.references, margin, on=self.on, seed=self.seed)

    def alone(self, row: int) -> "CandidateScores":
        """Return the same of one candidate."""
        return replace(self, candidates=(self.candidates[row],), scores=tuple(one[row][None] for one in self.scores))

    def on_set(self, number: int) -> "CandidateScores":
        """Return the same on one data set."""
        part = slice(number, number + 1)
        return replace(self, sets=self.sets[part], scores=self.scores[part], references=self.references[part])


def find_nearest(judged: CandidateScores, margin: float) -> Nearest:
    """Return the candidate that comes nearest, with the interval of its difference.

    Args:
        judged: Scores of at least one candidate.
        margin: The margin that none has passed.
    """
    count = len(judged.candidates)
    best = judged.alone(max(range(count), key=partial(_standing, judged)))
    differences = [rows - baseline for rows, baseline in zip(best.scores, best.references, strict=True)]
    passing = _passing_margin(best, count)
    worst = _find_worst(best, differences, margin, candidates=count)
    # On every set means on the worst of them.
    decisive = differences if judged.on != EVERY else [differences[worst]]
    (evaluation,), several = best.candidates, len(differences) > 1
    return Nearest(
        encoder=cast(Hookpoint, evaluation.hookpoint),
        lens=evaluation.adaptor is not None,
        difference=fmean(float(one.mean()) for one in decisive),
        ci95=_interval(decisive, judged.seed),
        passing=None if passing == inf else passing,
        resolution=resolution(decisive, count),
        worst=_on_set(judged.sets[worst], differences[worst], judged.seed) if several else None,
    )


def _standing(judged: CandidateScores, row: int) -> float:
    """Return what the nearest candidate has the most of: the mean score, or the difference on its worst data set."""
    if judged.on == EVERY and len(judged.sets) > 1:
        return min(float((rows[row] - one).mean()) for rows, one in zip(judged.scores, judged.references, strict=True))
    return fmean(float(rows[row].mean()) for rows in judged.scores)


def _find_worst(best: CandidateScores, differences: Sequence[Scores], margin: float, *, candidates: int) -> int:
    """Return the number of the data set that decides.

    On the mean it is the one with the lowest difference. On every set it is the one that needs the largest margin,
    first of all among those where the candidate is worse by more than the margin on average.
    """
    means = [float(one.mean()) for one in differences]
    if best.on != EVERY or len(means) == 1:
        return int(np.argmin(means))
    needed = [_passing_margin(best.on_set(number), candidates) for number in range(len(means))]
    return min(range(len(means)), key=lambda number: (means[number] > -margin, -needed[number], means[number]))


def _on_set(judged: HeldOutSet, differences: Scores, seed: int) -> SetDifference:
    return SetDifference(judged, float(differences.mean()), _interval([differences], seed))


def _interval(differences: Sequence[Scores], seed: int) -> tuple[float, float] | None:
    """Return the interval of a mean difference `(1, Q)`, or of the mean over several data sets."""
    if len(differences) == 1:
        return bootstrap_intervals(differences[0], seed)[0]
    return mean_intervals(differences, seed)[0]


def resolution(differences: Sequence[Scores], candidates: int = 1) -> float:
    """Return the smallest margin that the queries can show for a candidate that is equal on average.

    Args:
        differences: Its differences to the full model per data set, each `(1, Q)`.
        candidates: Number of candidates that are tested.
    """
    if any(one.shape[1] < 2 for one in differences):
        return 1.0
    errors = [float(one.std(ddof=1)) / one.shape[1] ** 0.5 for one in differences]
    error = errors[0] if len(errors) == 1 else hypot(*errors) / len(errors)
    quantile: float = NormalDist().inv_cdf(1 - SIGNIFICANT / candidates)
    return quantile * error


def _passing_margin(best: CandidateScores, candidates: int) -> float:
    """Return the smallest margin, to three decimals, that one encoder passes regardless of the other candidates.

    Infinite if it passes none below 1.
    """

    def passes(margin: float) -> bool:
        """Test with the strictest of Holm's corrections."""
        return best.p_values(margin)[0] * candidates < SIGNIFICANT

    low, high = 0.0, 1.0
    if not passes(high):
        return inf
    while high - low > _STEP:
        middle = (low + high) / 2
        low, high = (low, middle) if passes(middle) else (middle, high)
    return ceil(high * 1000) / 1000
