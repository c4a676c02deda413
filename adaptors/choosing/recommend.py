"""Recommend the cheapest layer that is not worse than the full model, judged on queries outside the test split."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import ceil, hypot, inf
from statistics import NormalDist, fmean
from typing import cast

import numpy as np

from adaptors.choosing.conditions import EVERY, check_condition, condition_p_values
from adaptors.choosing.recommendation import HeldOutSet, Nearest, Recommendation, SetDifference
from adaptors.fitting.data import FitTexts
from adaptors.fitting.lens import fit_lenses
from probe.data.dataset import Dataset
from probe.data.texts import Texts
from probe.encoding.hookpoints import with_full_model
from probe.encoding.reader import LayerReader
from probe.errors import CallError
from probe.evaluation.composite import Composite
from probe.evaluation.fusion import Fusion
from probe.evaluation.one_pass import sweep_fusions
from probe.evaluation.records import Evaluation
from probe.experiments.options import RunOptions
from probe.layers.hookpoint import Hookpoint
from probe.metrics.dataset_means import mean_intervals
from probe.metrics.significance import Scores, bootstrap_intervals, holm

__all__ = ["check_margin", "recommend", "split_queries"]

_ALPHA = 0.05
# Step of the search for the smallest passing margin.
_STEP = 0.0005


@dataclass(frozen=True)
class _Judged:
    """The candidates on the held-out queries of every data set.

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

    def alone(self, row: int) -> "_Judged":
        """Return the same of one candidate."""
        return replace(self, candidates=(self.candidates[row],), scores=tuple(one[row][None] for one in self.scores))

    def on_set(self, number: int) -> "_Judged":
        """Return the same on one data set."""
        part = slice(number, number + 1)
        return replace(self, sets=self.sets[part], scores=self.scores[part], references=self.references[part])


def recommend(
    reader: LayerReader,
    points: Sequence[Hookpoint],
    held: Dataset | Sequence[Dataset] | None,
    *,
    margin: float,
    options: RunOptions,
    on: str = EVERY,
) -> Recommendation:
    """Recommend a layer, raw or with its lens.

    The lenses are fitted to the texts of one half of the held-out queries, jointly for all data sets; the test uses the
    other half. With several data sets the margin has to hold on every one of them, or on their mean.

    Args:
        reader: The model's reader.
        points: Hookpoints of its layers, including the full model's own.
        held: Training or development split of one or several data sets.
        margin: Non-inferiority margin.
        options: Metric, seed, store and progress.
        on: `every` (intersection-union test) or `mean` (stratified randomisation test); see `condition_p_values`.

    Returns:
        The recommendation.

    Raises:
        CallError: There is no such split or it has no queries for one of the halves, or the margin or the condition is
            wrong.
    """
    check_margin(margin)
    check_condition(on)
    sets = [held] if isinstance(held, Dataset) else list(held or ())
    if not sets:
        raise CallError(
            "--recommend needs a train or dev split other than the scored one, and the data set has none:\n"
            "add relevance labels of other queries as qrels/train.tsv or qrels/dev.tsv"
        )
    halves = [_halves(options.apply_id_rule(one)) for one in sets]
    full = with_full_model(reader.model, "last", [str(point.pooling) for point in points])[1]
    points = tuple(dict.fromkeys([*points, full]))
    texts = [FitTexts(one, seen) for one, (seen, _) in zip(sets, halves, strict=True)]
    lenses = fit_lenses(reader, points, texts, store=options.store, progress=options.progress)
    encoders: list[Composite] = [*(Fusion((point,)) for point in points), *lenses]
    judged = _judge(reader, encoders, [rest for _, rest in halves], full=full, options=options, on=on)
    chosen, p_value = _pick(judged, margin)
    return Recommendation(
        encoder=None if chosen is None else chosen.hookpoint,
        lens=chosen is not None and chosen.adaptor is not None,
        p_value=p_value,
        margin=margin,
        sets=judged.sets,
        on=on,
        nearest=_find_nearest(judged, margin) if chosen is None and judged.candidates else None,
    )


def _judge(
    reader: LayerReader,
    encoders: Sequence[Composite],
    halves: Sequence[Dataset],
    *,
    full: Hookpoint,
    options: RunOptions,
    on: str,
) -> _Judged:
    """Score the encoders on the held-out queries of every data set."""
    scores, references, candidates = [], [], []
    for dataset in halves:
        evaluations, _ = sweep_fusions(
            {reader.model.source.name: reader},
            encoders,
            dataset,
            metrics=[options.ranked_by],
            context=options.context,
            similarity=options.similarity,
        )
        reference = next(e for e in evaluations if e.hookpoint == full and e.adaptor is None)
        candidates.append([e for e in evaluations if _is_candidate(e, full)])
        references.append(reference.scores[options.ranked_by])
        empty = references[-1][None][:0]
        scores.append(np.concatenate([empty, *(e.scores[options.ranked_by][None] for e in candidates[-1])]))
    sets = tuple(HeldOutSet(one.name, one.split, len(one.queries)) for one in halves)
    return _Judged(sets, tuple(candidates[0]), tuple(scores), tuple(references), on, options.seed)


def _is_candidate(evaluation: Evaluation, full: Hookpoint) -> bool:
    point, depth = evaluation.hookpoint, full.layer_pooling[0]
    return point is not None and 0 < point.layer_pooling[0] < depth


def check_margin(margin: float) -> None:
    """Check that a margin is between 0 and 1.

    Raises:
        CallError: It is not.
    """
    if not 0 < margin < 1:
        raise CallError(f"--recommend {margin:g}: expected a margin above 0 and below 1, such as 0.01")


def split_queries(dataset: Dataset) -> tuple[Dataset, Dataset]:
    """Split a data set's queries into two halves by a hash of their ids; both keep the whole corpus."""
    first = {name for name in dataset.queries.ids if hashlib.sha256(name.encode()).digest()[0] % 2 == 0}
    return _only(dataset, first), _only(dataset, set(dataset.queries.ids) - first)


def _halves(dataset: Dataset) -> tuple[Dataset, Dataset]:
    """Return the two halves of the queries.

    Raises:
        CallError: A half has none.
    """
    halves = split_queries(dataset)
    if not all(len(half.queries) for half in halves):
        raise CallError(
            f"--recommend needs held-out queries for a fit and others for the test: {len(dataset.queries)} of "
            f"'{dataset.name}' ({dataset.split}) are too few"
        )
    return halves


def _only(dataset: Dataset, names: set[str]) -> Dataset:
    rows = [
        (name, text) for name, text in zip(dataset.queries.ids, dataset.queries.texts, strict=True) if name in names
    ]
    texts = Texts(tuple(name for name, _ in rows), tuple(text for _, text in rows))
    return replace(
        dataset, queries=texts, qrels={name: found for name, found in dataset.qrels.items() if name in names}
    )


def _pick(judged: _Judged, margin: float) -> tuple[Evaluation | None, float | None]:
    """Return the cheapest candidate that passes, and its corrected p-value."""
    if not judged.candidates:
        return None, None
    p_values = holm(judged.p_values(margin))
    passed = [(e, p) for e, p in zip(judged.candidates, p_values, strict=True) if p < _ALPHA]
    return min(passed, key=lambda found: _cost(found[0]), default=(None, None))


def _find_nearest(judged: _Judged, margin: float) -> Nearest:
    """Return the candidate that comes nearest, with the interval of its difference."""
    count = len(judged.candidates)
    best = judged.alone(max(range(count), key=partial(_standing, judged)))
    differences = [rows - baseline for rows, baseline in zip(best.scores, best.references, strict=True)]
    passing = _passing_margin(best, count)
    worst = _find_worst(best, differences, margin, count)
    # On every set means on the worst of them.
    decisive = differences if judged.on != EVERY else [differences[worst]]
    (evaluation,), several = best.candidates, len(differences) > 1
    return Nearest(
        encoder=cast(Hookpoint, evaluation.hookpoint),
        lens=evaluation.adaptor is not None,
        difference=fmean(float(one.mean()) for one in decisive),
        ci95=_interval(decisive, judged.seed),
        passing=None if passing == inf else passing,
        resolution=_resolution(decisive, count),
        worst=_on_set(judged.sets[worst], differences[worst], judged.seed) if several else None,
    )


def _standing(judged: _Judged, row: int) -> float:
    """Return what the nearest candidate has the most of: the mean score, or the difference on its worst data set."""
    if judged.on == EVERY and len(judged.sets) > 1:
        return min(float((rows[row] - one).mean()) for rows, one in zip(judged.scores, judged.references, strict=True))
    return fmean(float(rows[row].mean()) for rows in judged.scores)


def _find_worst(best: _Judged, differences: Sequence[Scores], margin: float, candidates: int) -> int:
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


def _resolution(differences: Sequence[Scores], candidates: int) -> float:
    """Return the smallest margin that the queries can show for a candidate that is equal on average."""
    if any(one.shape[1] < 2 for one in differences):
        return 1.0
    errors = [float(one.std(ddof=1)) / one.shape[1] ** 0.5 for one in differences]
    error = errors[0] if len(errors) == 1 else hypot(*errors) / len(errors)
    quantile: float = NormalDist().inv_cdf(1 - _ALPHA / candidates)
    return quantile * error


def _passing_margin(best: _Judged, candidates: int) -> float:
    """Return the smallest margin, to three decimals, that one encoder passes regardless of the other candidates.

    Infinite if it passes none below 1.
    """

    def passes(margin: float) -> bool:
        """Test with the strictest of Holm's corrections."""
        return best.p_values(margin)[0] * candidates < _ALPHA

    low, high = 0.0, 1.0
    if not passes(high):
        return inf
    while high - low > _STEP:
        middle = (low + high) / 2
        low, high = (low, middle) if passes(middle) else (middle, high)
    return ceil(high * 1000) / 1000


def _cost(evaluation: Evaluation) -> tuple[int, int]:
    """Return the sort key of a candidate: number of blocks, then raw before lens."""
    layer = evaluation.hookpoint.layer_pooling[0] if evaluation.hookpoint else 0
    return layer, int(evaluation.adaptor is not None)
