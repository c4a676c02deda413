"""Choose the weights of a fusion on a training or development split; test labels are never used."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from math import comb
from statistics import fmean

import numpy as np

from probe.data.dataset import Dataset, refuse_images
from probe.encoding.chunk_states import Progress, RunContext, silent
from probe.errors import CallError
from probe.evaluation.fusion import Fusion
from probe.evaluation.one_pass import sweep_fusions
from probe.metrics.dataset_means import mean_p_values
from probe.metrics.retrieval import Metric
from probe.metrics.significance import Scores, paired_p_values
from probe.store.store import Store
from surgery.fusing.model import FusedModel

__all__ = ["TunedWeights", "candidate_weights", "tune_weights"]

_SPLITS = ("train", "dev")
# Steps of .05 for two hookpoints; coarser for more, to limit the number of candidates.
_FINEST = 20
_MOST_CANDIDATES = 200
_SIGNIFICANT = 0.05


@dataclass(frozen=True)
class TunedWeights:
    """Chosen weights and their scores.

    Attributes:
        weights: The chosen weights, summing to 1; None for equal weights.
        candidates: Number of candidates tried.
        score: Mean metric of the best candidate, on the queries it was chosen on; the mean over several data sets.
        equal_score: The same with equal weights.
        p_value: p-value of a paired randomization test between the two, times the number of candidates (Bonferroni).
        set_scores: The score on every data set, in their order.
        set_equal_scores: The same with equal weights.
    """

    weights: tuple[float, ...] | None
    candidates: int
    score: float
    equal_score: float
    p_value: float
    set_scores: tuple[float, ...] = ()
    set_equal_scores: tuple[float, ...] = ()


def tune_weights(
    model: FusedModel,
    dataset: Dataset | Sequence[Dataset],
    metric: Metric,
    *,
    store: Store | None = None,
    progress: Progress = silent,
) -> TunedWeights:
    """Choose weights by grid search, with all candidates scored in one pass over the texts.

    Equal weights are kept unless the best candidate is significantly better: the best of many is partly luck. With
    several data sets the best one has the highest mean over them, each with the same weight, and the test is stratified
    by data set.

    Args:
        model: The fused model; its own weights are ignored.
        dataset: Training or development split of one or several data sets.
        metric: Metric to maximize.
        store: Store of cached states, if any.
        progress: Called for every batch.

    Returns:
        The weights.

    Raises:
        CallError: A split is neither train nor dev, or a data set has images.
    """
    several = [dataset] if isinstance(dataset, Dataset) else list(dataset)
    _check(several)
    method = "concat" if model.fusion.method == "concat" else "weighted"
    equal = replace(model.fusion, weights=None, method="concat" if method == "concat" else "mean", name=None)
    grid = [replace(equal, weights=weights, method=method) for weights in candidate_weights(len(equal.points))]
    context = RunContext(store, progress, again=True)
    scores = [_score(model, [equal, *grid], one, metric=metric, context=context) for one in several]
    best = max(range(1, len(grid) + 1), key=lambda row: fmean(float(rows[row].mean()) for rows in scores))
    gains = [float((rows[best] - rows[0]).mean()) for rows in scores]
    p_value = min(1.0, len(grid) * (_test([rows[[0, best]] for rows in scores]) or 1.0))
    keep_equal = fmean(gains) <= 0 or p_value >= _SIGNIFICANT
    equal_scores = [float(rows[0].mean()) for rows in scores]
    return TunedWeights(
        weights=None if keep_equal else grid[best - 1].weights,
        candidates=len(grid),
        score=fmean(equal_scores) + fmean(gains),
        equal_score=fmean(equal_scores),
        p_value=p_value,
        set_scores=tuple(equal_score + gain for equal_score, gain in zip(equal_scores, gains, strict=True)),
        set_equal_scores=tuple(equal_scores),
    )


def _check(datasets: Sequence[Dataset]) -> None:
    if not datasets:
        raise CallError("weights cannot be chosen without a data set: expected at least one")
    for one in datasets:
        refuse_images(one, "surgery fuse")
        if one.split not in _SPLITS:
            owner = f" of '{one.name}'" if len(datasets) > 1 else ""
            raise CallError(f"weights cannot be chosen on split '{one.split}'{owner}: expected --split train or dev")


def _score(
    model: FusedModel, fusions: Sequence[Fusion], dataset: Dataset, *, metric: Metric, context: RunContext
) -> Scores:
    """Return the scores of all fusions on a data set, one row per fusion `(R, Q)`."""
    readers = {reader.model.source.name: reader for reader in model.readers}
    evaluations, _ = sweep_fusions(readers, fusions, dataset, metrics=[metric], context=context)
    return np.stack([evaluation.scores[metric] for evaluation in evaluations])


def _test(pairs: Sequence[Scores]) -> float | None:
    """Return the p-value of a test between two rows of every data set `(2, Q_s)`."""
    if len(pairs) == 1:
        return paired_p_values(pairs[0][1:], pairs[0][0], 0)[0]
    return mean_p_values([rows[1:] - rows[0] for rows in pairs], 0)[0]


def candidate_weights(count: int) -> list[tuple[float, ...]]:
    """Return the grid of positive weights that sum to 1, in equal steps; at most `_MOST_CANDIDATES`."""
    fitting = [steps for steps in range(count, _FINEST + 1) if comb(steps - 1, count - 1) <= _MOST_CANDIDATES]
    steps = max(fitting, default=count)
    cuts = [(0, *inner, steps) for inner in combinations(range(1, steps), count - 1)]
    return [tuple((right - left) / steps for left, right in pairwise(cut)) for cut in cuts]
