"""Recommend the cheapest layer that is not worse than the full model, judged on queries outside the test split."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from adaptors.fitting.data import FitTexts
from adaptors.fitting.lens import fit_lenses
from probe.data.dataset import Dataset
from probe.data.texts import Texts
from probe.encoding.chunk_states import RunContext
from probe.encoding.hookpoints import with_full_model
from probe.encoding.reader import LayerReader
from probe.errors import CallError
from probe.evaluation.composite import Composite
from probe.evaluation.fusion import Fusion
from probe.evaluation.one_pass import sweep_fusions
from probe.evaluation.records import Evaluation
from probe.experiments.options import RunOptions
from probe.layers.hookpoint import Hookpoint
from probe.metrics.significance import holm, non_inferiority_p_values

__all__ = ["Recommendation", "check_margin", "recommend", "split_queries"]

_ALPHA = 0.05


@dataclass(frozen=True)
class Recommendation:
    """The cheapest encoder that passes a non-inferiority test against the full model.

    Attributes:
        encoder: Its hookpoint, or None if no candidate passes.
        lens: Whether it needs its lens.
        p_value: p-value of the non-inferiority test, Holm-corrected over all candidates.
        margin: Non-inferiority margin.
        queries: Number of queries used for the test.
        split: Their split.
    """

    encoder: Hookpoint | None
    lens: bool
    p_value: float | None
    margin: float
    queries: int
    split: str

    def words(self) -> str:
        """Return the recommendation as a sentence."""
        judged = f"tested on {self.queries} queries of {self.split} not used for fitting, Holm over all layers"
        if self.encoder is None or self.p_value is None:
            return f"no layer was shown to be within {self.margin:g} of the full model ({judged}): keep all blocks"
        lens = " with its lens" if self.lens else ""
        return (
            f"{self.encoder}{lens} is not worse than the full model by {self.margin:g} (p {self.p_value:.2g}; {judged})"
        )


def recommend(
    reader: LayerReader, points: Sequence[Hookpoint], held: Dataset | None, *, margin: float, options: RunOptions
) -> Recommendation:
    """Recommend a layer, raw or with its lens.

    The lenses are fitted to the texts of one half of the held-out queries; the test uses the other half.

    Args:
        reader: The model's reader.
        points: Hookpoints of its layers, including the full model's own.
        held: Training or development split.
        margin: Non-inferiority margin.
        options: Metric, seed, store and progress.

    Returns:
        The recommendation.

    Raises:
        CallError: There is no such split, or the margin is out of range.
    """
    check_margin(margin)
    if held is None:
        raise CallError("--recommend needs a train or dev split other than the scored one, and the data set has none")
    seen, judged = split_queries(options.apply_id_rule(held))
    full = with_full_model(reader.model, "last", [str(point.pooling) for point in points])[1]
    points = tuple(dict.fromkeys([*points, full]))
    lenses = fit_lenses(reader, points, FitTexts(held, seen), store=options.store, progress=options.progress)
    encoders: list[Composite] = [*(Fusion((point,)) for point in points), *lenses]
    evaluations, _ = sweep_fusions(
        {reader.model.source.name: reader},
        encoders,
        judged,
        metrics=[options.ranked_by],
        context=RunContext(options.store, options.progress),
        similarity=options.similarity,
    )
    chosen, p_value = _pick(evaluations, full, margin, options=options)
    return Recommendation(
        encoder=None if chosen is None else chosen.hookpoint,
        lens=chosen is not None and chosen.adaptor is not None,
        p_value=p_value,
        margin=margin,
        queries=len(judged.queries),
        split=judged.split,
    )


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


def _only(dataset: Dataset, names: set[str]) -> Dataset:
    rows = [
        (name, text) for name, text in zip(dataset.queries.ids, dataset.queries.texts, strict=True) if name in names
    ]
    texts = Texts(tuple(name for name, _ in rows), tuple(text for _, text in rows))
    return replace(
        dataset, queries=texts, qrels={name: found for name, found in dataset.qrels.items() if name in names}
    )


def _pick(
    evaluations: Sequence[Evaluation], full: Hookpoint, margin: float, *, options: RunOptions
) -> tuple[Evaluation | None, float | None]:
    """Return the cheapest candidate that passes, and its corrected p-value."""
    reference = next(e for e in evaluations if e.hookpoint == full and e.adaptor is None)
    depth = full.layer_pooling[0]
    candidates = [e for e in evaluations if e.hookpoint is not None and 0 < e.hookpoint.layer_pooling[0] < depth]
    if not candidates:
        return None, None
    scores = np.stack([e.scores[options.ranked_by] for e in candidates])
    p_values = holm(non_inferiority_p_values(scores, reference.scores[options.ranked_by], margin, seed=options.seed))
    passed = [(e, p) for e, p in zip(candidates, p_values, strict=True) if p < _ALPHA]
    return min(passed, key=lambda found: _cost(found[0]), default=(None, None))


def _cost(evaluation: Evaluation) -> tuple[int, int]:
    """Return the sort key of a candidate: number of blocks, then raw before lens."""
    layer = evaluation.hookpoint.layer_pooling[0] if evaluation.hookpoint else 0
    return layer, int(evaluation.adaptor is not None)
