"""What a map between models keeps of the score of each of these models alone, on one or several data sets."""

from collections.abc import Mapping, Sequence
from statistics import fmean

import numpy as np

from probe.evaluation.records import Evaluation, MapEnds
from probe.metrics.dataset_means import mean_p_values
from probe.metrics.retrieval import Metric
from probe.metrics.significance import Scores, paired_p_values
from probe.results.row import Retention, Row, RowKey

__all__ = ["find_retention", "join_retention"]


def find_retention(
    evaluations: Sequence[Evaluation], metric: Metric, seed: int
) -> dict[int, tuple[Retention, Retention]]:
    """Return what every map among evaluations on one data set keeps of its models alone.

    Args:
        evaluations: All encoders of a table.
        metric: The metric.
        seed: Random seed of the tests.

    Returns:
        The retention of the model it maps from and of the one it maps to, by the index of its evaluation; maps whose
        models are not among the evaluations are left out.
    """
    alone = {e.encoder: e.scores[metric] for e in reversed(evaluations) if _ends(e) is None}
    found: dict[int, tuple[str, str]] = {}
    for index, evaluation in enumerate(evaluations):
        ends = _ends(evaluation)
        if ends is not None and {ends.source, ends.target} <= alone.keys():
            found[index] = ends.source, ends.target
    scores = {index: evaluations[index].scores[metric] for index in found}
    differences = [scores[index] - alone[name] for index, names in found.items() for name in names]
    if not differences:
        return {}
    # All at once, so that they share the random signs.
    p_values = iter(paired_p_values(np.stack(differences), np.zeros(len(differences[0])), seed))
    retained = {
        index: [Retention(name, _share(scores[index].mean(), alone[name].mean()), next(p_values)) for name in names]
        for index, names in found.items()
    }
    return {index: (source, target) for index, (source, target) in retained.items()}


def _ends(evaluation: Evaluation) -> MapEnds | None:
    return evaluation.adaptor.ends if evaluation.adaptor else None


def _share(score: float, reference: float) -> float | None:
    return float(score / reference) if reference else None


def join_retention(
    rows: Mapping[RowKey, Mapping[str, Row]], scores: Mapping[RowKey, Sequence[Scores]], metric: str, *, seed: int
) -> dict[RowKey, tuple[Retention, Retention]]:
    """Return what every map keeps of its models alone in the mean over several data sets.

    Args:
        rows: The rows of a table, each by data set.
        scores: Their scores of every query, per data set `(1, Q_s)`; empty where they are unknown, so that nothing is
            tested.
        metric: The metric.
        seed: Random seed of the tests.
    """
    alone = {key.encoder: key for key in reversed([*rows]) if all(row.retention is None for row in rows[key].values())}

    def retain(key: RowKey, name: str) -> Retention:
        """Compare with one of the models alone."""
        rival = alone[name]
        differences = [own - other for own, other in zip(scores[key], scores[rival], strict=False)]
        p_value = mean_p_values(differences, seed)[0] if differences else None
        return Retention(name, _share(_mean(rows[key], metric), _mean(rows[rival], metric)), p_value)

    found = {}
    for key, own in rows.items():
        ends = next(iter(own.values())).retention
        if ends is not None and {one.encoder for one in ends} <= alone.keys():
            source, target = (retain(key, one.encoder) for one in ends)
            found[key] = source, target
    return found


def _mean(rows: Mapping[str, Row], metric: str) -> float:
    return fmean(row.scores[metric] for row in rows.values())
