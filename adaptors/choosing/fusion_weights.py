"""Choose the weights of a fusion on a training or development split; test labels are never used."""

from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from math import comb

from probe.data.dataset import Dataset, refuse_images
from probe.encoding.chunk_states import Progress, RunContext, silent
from probe.errors import CallError
from probe.evaluation.one_pass import sweep_fusions
from probe.metrics.retrieval import Metric
from probe.metrics.significance import paired_p_values
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
        score: Mean metric of the best candidate, on the queries it was chosen on.
        equal_score: Mean metric with equal weights.
        p_value: p-value of a paired randomization test between the two, times the number of candidates (Bonferroni).
    """

    weights: tuple[float, ...] | None
    candidates: int
    score: float
    equal_score: float
    p_value: float


def tune_weights(
    model: FusedModel,
    dataset: Dataset,
    metric: Metric,
    *,
    store: Store | None = None,
    progress: Progress = silent,
) -> TunedWeights:
    """Choose weights by grid search, with all candidates scored in one pass over the texts.

    Equal weights are kept unless the best candidate is significantly better: the best of many is partly luck.

    Args:
        model: The fused model; its own weights are ignored.
        dataset: Training or development split.
        metric: Metric to maximize.
        store: Store of cached states, if any.
        progress: Called for every batch.

    Returns:
        The weights.

    Raises:
        CallError: The split is neither train nor dev, or the data set has images.
    """
    refuse_images(dataset, "surgery fuse")
    if dataset.split not in _SPLITS:
        raise CallError(f"weights cannot be chosen on split '{dataset.split}': expected --split train or dev")
    method = "concat" if model.fusion.method == "concat" else "weighted"
    equal = replace(model.fusion, weights=None, method="concat" if method == "concat" else "mean", name=None)
    grid = [replace(equal, weights=weights, method=method) for weights in candidate_weights(len(equal.points))]
    readers = {reader.model.source.name: reader for reader in model.readers}
    evaluations, _ = sweep_fusions(
        readers, [equal, *grid], dataset, metrics=[metric], context=RunContext(store, progress)
    )
    reference, *others = [evaluation.scores[metric] for evaluation in evaluations]
    best = max(range(len(grid)), key=lambda index: float(others[index].mean()))
    gain = float((others[best] - reference).mean())
    p_value = min(1.0, len(grid) * (paired_p_values(others[best][None], reference, 0)[0] or 1.0))
    keep_equal = gain <= 0 or p_value >= _SIGNIFICANT
    equal_score = float(reference.mean())
    weights = None if keep_equal else grid[best].weights
    return TunedWeights(weights, len(grid), equal_score + gain, equal_score, p_value)


def candidate_weights(count: int) -> list[tuple[float, ...]]:
    """Return the grid of positive weights that sum to 1, in equal steps; at most `_MOST_CANDIDATES`."""
    fitting = [steps for steps in range(count, _FINEST + 1) if comb(steps - 1, count - 1) <= _MOST_CANDIDATES]
    steps = max(fitting, default=count)
    cuts = [(0, *inner, steps) for inner in combinations(range(1, steps), count - 1)]
    return [tuple((right - left) / steps for left, right in pairwise(cut)) for cut in cuts]
