"""Recommend the cheapest layer that is not worse than the full model, judged on queries outside the test split."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from adaptors.choosing.conditions import EVERY, check_condition
from adaptors.choosing.nearest import SIGNIFICANT, CandidateScores, find_nearest
from adaptors.choosing.recommendation import HeldOutSet, Recommendation
from adaptors.fitting.data import FitTexts
from adaptors.fitting.lens import fit_lenses
from probe.data.dataset import Dataset
from probe.data.texts import SelectedTexts, Texts
from probe.encoding.hookpoints import with_full_model
from probe.encoding.reader import LayerReader
from probe.errors import CallError
from probe.evaluation.composite import Composite
from probe.evaluation.fusion import Fusion
from probe.evaluation.one_pass import sweep_fusions
from probe.evaluation.records import Evaluation
from probe.experiments.options import RunOptions
from probe.layers.hookpoint import Hookpoint
from probe.metrics.significance import holm

__all__ = ["check_margin", "recommend", "split_queries"]


def recommend(
    reader: LayerReader,
    points: Sequence[Hookpoint],
    held: Dataset | Sequence[Dataset] | Mapping[str, Dataset] | None,
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
        held: Training or development split of one or several data sets, perhaps by their names in words.
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
    named: Mapping[str, Dataset] = held if isinstance(held, Mapping) else {}
    sets: list[Dataset] = [held] if isinstance(held, Dataset) else [*(named.values() or held or ())]
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
    judged = replace(judged, sets=_rename(judged.sets, [*named]))
    chosen, p_value = _pick(judged, margin)
    return Recommendation(
        encoder=None if chosen is None else chosen.hookpoint,
        lens=chosen is not None and chosen.adaptor is not None,
        p_value=p_value,
        margin=margin,
        sets=judged.sets,
        on=on,
        nearest=find_nearest(judged, margin) if chosen is None and judged.candidates else None,
    )


def _judge(
    reader: LayerReader,
    encoders: Sequence[Composite],
    halves: Sequence[Dataset],
    *,
    full: Hookpoint,
    options: RunOptions,
    on: str,
) -> CandidateScores:
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
    return CandidateScores(sets, tuple(candidates[0]), tuple(scores), tuple(references), on, options.seed)


def _rename(sets: Sequence[HeldOutSet], names: Sequence[str]) -> tuple[HeldOutSet, ...]:
    return tuple(replace(one, dataset=name) for one, name in zip(sets, names, strict=True)) if names else tuple(sets)


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
    """Return the two halves of the queries, whose states are read with those of all: a lens of the table reads all.

    Raises:
        CallError: A half has none.
    """
    halves = split_queries(dataset)
    if not all(len(half.queries) for half in halves):
        raise CallError(
            f"--recommend needs held-out queries for a fit and others for the test: {len(dataset.queries)} of "
            f"'{dataset.name}' ({dataset.split}) are too few"
        )
    one, other = (replace(half, queries=SelectedTexts.of(dataset.queries, {*half.queries.ids})) for half in halves)
    return one, other


def _only(dataset: Dataset, names: set[str]) -> Dataset:
    queries = Texts.gather(row for row in dataset.queries if row[0] in names)
    return replace(
        dataset, queries=queries, qrels={name: found for name, found in dataset.qrels.items() if name in names}
    )


def _pick(judged: CandidateScores, margin: float) -> tuple[Evaluation | None, float | None]:
    """Return the cheapest candidate that passes, and its corrected p-value."""
    if not judged.candidates:
        return None, None
    p_values = holm(judged.p_values(margin))
    passed = [(e, p) for e, p in zip(judged.candidates, p_values, strict=True) if p < SIGNIFICANT]
    return min(passed, key=lambda found: _cost(found[0]), default=(None, None))


def _cost(evaluation: Evaluation) -> tuple[int, int]:
    """Return the sort key of a candidate: number of blocks, then raw before lens."""
    layer = evaluation.hookpoint.layer_pooling[0] if evaluation.hookpoint else 0
    return layer, int(evaluation.adaptor is not None)
