"""Accuracy and macro-F1 with intervals and paired tests, out of per-text counts; pure functions.

Both measures follow from three counts per class (hits, predictions, examples), and a resample of the texts only sums
other texts' counts. So a bootstrap of any number of classifiers is one matrix product.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from probe.statistics import RESAMPLES, percentile_intervals, resamples, swaps

__all__ = ["MEASURES", "Measure", "accuracy", "intervals", "macro_f1", "paired_test", "tally"]

Wide = NDArray[np.float64]
Classes = NDArray[np.int64]
# From counts (..., 3, K) to a score (...).
Measure = Callable[[Wide], Wide]


def tally(truth: Classes, predicted: Classes, classes: int) -> Wide:
    """Return what every text adds to the counts of every class.

    Args:
        truth: Class of every text `(N,)`, from 0.
        predicted: Predicted class `(N,)`.
        classes: Number of classes K.

    Returns:
        0 or 1 `(N, 3, K)`: hit, predicted, an example.
    """
    unit = np.eye(classes)
    examples, predictions = unit[truth], unit[predicted]
    return np.stack([examples * predictions, predictions, examples], axis=1)


def accuracy(counts: Wide) -> Wide:
    """Return the share of texts whose class was predicted.

    Args:
        counts: Hits, predictions, examples `(..., 3, K)`.

    Returns:
        From 0 to 1 `(...)`.
    """
    share: Wide = counts[..., 0, :].sum(axis=-1) / counts[..., 2, :].sum(axis=-1)
    return share


def macro_f1(counts: Wide) -> Wide:
    """Return the mean over classes of F1 = 2 hits / (predictions + examples).

    A class with neither examples nor predictions is left out, as scikit-learn's `f1_score(average="macro")` does.

    Args:
        counts: Hits, predictions, examples `(..., 3, K)`.

    Returns:
        From 0 to 1 `(...)`.
    """
    hits, both = counts[..., 0, :], counts[..., 1, :] + counts[..., 2, :]
    f1 = np.divide(2 * hits, both, out=np.zeros_like(both), where=both > 0)
    mean: Wide = f1.sum(axis=-1) / (both > 0).sum(axis=-1)
    return mean


MEASURES: dict[str, Measure] = {"accuracy": accuracy, "macro-f1": macro_f1}


def intervals(tallies: Wide, seed: int) -> dict[str, list[tuple[float, float]]]:
    """Return percentile bootstrap intervals over texts (Efron 1979) of every measure.

    Args:
        tallies: One `tally` per classifier `(R, N, 3, K)`; all rows see the same resamples.
        seed: Of the resampling.

    Returns:
        The 95 % interval per measure and row.
    """
    rows, texts, _, classes = tallies.shape
    flat = tallies.transpose(1, 0, 2, 3).reshape(texts, -1)
    found: dict[str, list[Wide]] = {name: [] for name in MEASURES}
    for drawn in resamples(texts, seed):
        counts = (drawn @ flat).reshape(len(drawn), rows, 3, classes)
        for name, measure in MEASURES.items():
            found[name].append(measure(counts))
    return {name: percentile_intervals(np.concatenate(values)) for name, values in found.items()}


def paired_test(tallies: Wide, baseline: Wide, measure: Measure, seed: int) -> list[float]:
    """Return two-sided p-values of paired randomisation tests over texts (Noreen 1989; Yeh, COLING 2000).

    The predictions of two classifiers are swapped at random, text by text; the p-value is the share of swaps whose
    difference is at least as large as the one observed, the observed one counted in.

    Args:
        tallies: One `tally` per classifier `(R, N, 3, K)`.
        baseline: That of the classifier to compare with `(N, 3, K)`.
        measure: What differs.
        seed: Of the swaps, the same for every row.

    Returns:
        The p-value per row, at least 1 / (RESAMPLES + 1).
    """
    rows, texts, _, classes = tallies.shape
    moved = (baseline - tallies).transpose(1, 0, 2, 3).reshape(texts, -1)
    own, other = tallies.sum(axis=1), baseline.sum(axis=0)
    # A tolerance, because the same sum in another order differs in its last bits.
    observed = np.abs(measure(own) - measure(other)) - 1e-9
    extreme = np.zeros(rows, np.int64)
    for drawn in swaps(texts, seed):
        change = (drawn @ moved).reshape(len(drawn), rows, 3, classes)
        extreme += (np.abs(measure(own + change) - measure(other - change)) >= observed).sum(axis=0)
    return [(int(count) + 1) / (RESAMPLES + 1) for count in extreme]
