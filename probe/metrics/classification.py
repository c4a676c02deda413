"""Accuracy and macro-F1 with intervals and paired tests, from per-text counts; pure functions.

Both measures follow from three counts per class (hits, predictions, examples), and a resample only sums the counts of
other texts. So the bootstrap of any number of classifiers is one sparse matrix product.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from probe.metrics.significance import RESAMPLES, percentile_intervals, resamples, swaps

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

__all__ = ["MEASURES", "Measure", "accuracy", "intervals", "macro_f1", "measure_all", "paired_test"]

Wide = NDArray[np.float64]
Classes = NDArray[np.int64]
# From counts (..., 3, K) to a score (...).
Measure = Callable[[Wide], Wide]


def _counter(truth: Classes, predicted: Classes, classes: int) -> "csr_matrix":
    """Return the contribution of every text to the counts of every class, for any number of classifiers.

    Args:
        truth: Class index of every text, `(R, N)`.
        predicted: Predicted class `(R, N)`.
        classes: Number of classes K.

    Returns:
        Sparse 0/1 matrix `(R * 3 * K, N)` of hits, predictions and examples; times text weights, it gives counts.
    """
    from scipy.sparse import coo_matrix

    row = np.broadcast_to(np.arange(len(truth))[:, None], truth.shape)
    text = np.broadcast_to(np.arange(truth.shape[1]), truth.shape)
    hit = truth == predicted
    first = row * 3 * classes
    rows = [(first + truth)[hit], (first + classes + predicted).ravel(), (first + 2 * classes + truth).ravel()]
    texts = [text[hit], text.ravel(), text.ravel()]
    into, out_of = np.concatenate(rows), np.concatenate(texts)
    shape = (len(truth) * 3 * classes, truth.shape[1])
    return coo_matrix((np.ones(len(into)), (into, out_of)), shape).tocsr()


def _count(counts_of: "csr_matrix", weights: NDArray[Any], classes: int) -> Wide:
    """Return hits, predictions and examples `(B, R, 3, K)`, with every text weighted by `weights` `(B, N)`."""
    counts: Wide = (counts_of @ weights.T.astype(np.float64)).T
    return counts.reshape(len(weights), -1, 3, classes)


def accuracy(counts: Wide) -> Wide:
    """Return the share of correctly predicted texts, `(...)`, from counts `(..., 3, K)`."""
    share: Wide = counts[..., 0, :].sum(axis=-1) / counts[..., 2, :].sum(axis=-1)
    return share


def macro_f1(counts: Wide) -> Wide:
    """Return the mean over classes of F1 = 2 hits / (predictions + examples), `(...)`, from counts `(..., 3, K)`.

    Classes with neither examples nor predictions are skipped, as in scikit-learn's `f1_score(average="macro")`.
    """
    hits, both = counts[..., 0, :], counts[..., 1, :] + counts[..., 2, :]
    f1 = np.divide(2 * hits, both, out=np.zeros_like(both), where=both > 0)
    mean: Wide = f1.sum(axis=-1) / (both > 0).sum(axis=-1)
    return mean


MEASURES: dict[str, Measure] = {"accuracy": accuracy, "macro-f1": macro_f1}


def measure_all(truth: Classes, predicted: Classes, classes: int) -> dict[str, Wide]:
    """Return every measure by name, `(R,)`, from truth and predictions `(R, N)` with K classes."""
    counts = _count(_counter(truth, predicted, classes), np.ones((1, truth.shape[1])), classes)[0]
    return {name: measure(counts) for name, measure in MEASURES.items()}


def intervals(truth: Classes, predicted: Classes, classes: int, *, seed: int) -> dict[str, list[tuple[float, float]]]:
    """Return percentile bootstrap intervals over texts (Efron 1979) of every measure.

    Args:
        truth: Class index of every text, `(R, N)`.
        predicted: Predicted class `(R, N)`; all rows share the same resamples.
        classes: Number of classes K.
        seed: Random seed of the resampling.

    Returns:
        The 95 % intervals by measure and row.
    """
    counts_of = _counter(truth, predicted, classes)
    found: dict[str, list[Wide]] = {name: [] for name in MEASURES}
    for drawn in resamples(truth.shape[1], seed):
        counts = _count(counts_of, drawn, classes)
        for name, measure in MEASURES.items():
            found[name].append(measure(counts))
    return {name: percentile_intervals(np.concatenate(values)) for name, values in found.items()}


def paired_test(truth: Classes, predicted: Classes, baseline: Classes, *, measure: Measure, seed: int) -> list[float]:
    """Return two-sided p-values of paired randomisation tests over texts (Noreen 1989; Yeh, COLING 2000).

    The predictions of two classifiers are swapped at random, text by text; the p-value is the share of swaps whose
    difference is at least as large as the observed one (which is included).

    Args:
        truth: Class index of every text, `(N,)`.
        predicted: Predicted class `(R, N)`.
        baseline: Class predicted by the baseline `(N,)`.
        measure: Measure to compare.
        seed: Random seed of the swaps, the same for every row.

    Returns:
        The p-value per row, at least 1 / (RESAMPLES + 1).
    """
    classes = int(max(truth.max(), predicted.max(), baseline.max())) + 1
    truths = np.broadcast_to(truth, predicted.shape)
    mine = _counter(truths, predicted, classes)
    moved = _counter(truths, np.broadcast_to(baseline, predicted.shape), classes) - mine
    everything = np.ones((1, len(truth)))
    own = _count(mine, everything, classes)
    other = own + _count(moved, everything, classes)
    # Tolerance for floating-point sums in different order.
    observed = np.abs(measure(own) - measure(other)) - 1e-9
    extreme = np.zeros(len(predicted), np.int64)
    for drawn in swaps(len(truth), seed):
        change = _count(moved, drawn, classes)
        extreme += (np.abs(measure(own + change) - measure(other - change)) >= observed).sum(axis=0)
    return [(int(found) + 1) / (RESAMPLES + 1) for found in extreme]
