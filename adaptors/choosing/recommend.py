"""Recommend the cheapest layer that is not worse than the full model, judged on queries outside the test split."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

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
from probe.metrics.significance import bootstrap_intervals, holm, non_inferiority_p_values

__all__ = ["Nearest", "Recommendation", "check_margin", "recommend", "split_queries"]

_ALPHA = 0.05
# Step of the search for the smallest passing margin.
_STEP = 0.0005


@dataclass(frozen=True)
class Nearest:
    """The candidate with the highest score if no candidate passes.

    Attributes:
        encoder: Its hookpoint.
        lens: Whether it uses its lens.
        difference: Its mean difference to the full model.
        ci95: 95 % interval of the difference; None for a single query.
        passing: The smallest margin it would pass, to three decimals; None if there is none below 1.
        resolution: The smallest margin this number of queries can show for a candidate that is equal on average.
    """

    encoder: Hookpoint
    lens: bool
    difference: float
    ci95: tuple[float, float] | None
    passing: float | None
    resolution: float

    @property
    def name(self) -> str:
        """The hookpoint, and whether it uses its lens."""
        return _name(self.encoder, self.lens)


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
        nearest: The candidate with the highest score if none passes; None without candidates.
    """

    encoder: Hookpoint | None
    lens: bool
    p_value: float | None
    margin: float
    queries: int
    split: str
    nearest: Nearest | None = None

    def words(self) -> str:
        """Return the recommendation in one sentence, or in three if no candidate passes."""
        basis = f"{self.queries} held-out queries of {self.split}, Holm over all candidates"
        if self.encoder is not None and self.p_value is not None:
            chosen = f"{_name(self.encoder, self.lens)} is not worse than the full model by {self.margin:g}"
            return f"{chosen} (p {self.p_value:.2g}; {basis})"
        words = f"no layer was shown to be within {self.margin:g} of the full model ({basis}): keep all blocks"
        return words if self.nearest is None else f"{words}. {self._describe_nearest(self.nearest)}"

    def _describe_nearest(self, nearest: Nearest) -> str:
        bounds = nearest.ci95
        interval = "" if bounds is None else f", 95% CI {bounds[0]:+.3f} to {bounds[1]:+.3f}"
        words = f"The nearest is {nearest.name} ({nearest.difference:+.4f}{interval})"
        if nearest.difference > -self.margin:
            return (
                f"{words}: within the margin on average, but {self.queries} queries are too few to show it; they can "
                f"show margins of about {nearest.resolution:.2g} or more"
            )
        if nearest.passing is None:
            return f"{words}; it passes no margin below 1"
        return f"{words}; the smallest margin it passes is {nearest.passing:g}"


def _name(encoder: Hookpoint, lens: bool) -> str:
    return f"{encoder} with its lens" if lens else str(encoder)


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
        raise CallError(
            "--recommend needs a train or dev split other than the scored one, and the data set has none:\n"
            "add relevance labels of other queries as qrels/train.tsv or qrels/dev.tsv"
        )
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
    nearest = _find_nearest(evaluations, full, options) if chosen is None else None
    return Recommendation(
        encoder=None if chosen is None else chosen.hookpoint,
        lens=chosen is not None and chosen.adaptor is not None,
        p_value=p_value,
        margin=margin,
        queries=len(judged.queries),
        split=judged.split,
        nearest=nearest,
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
    candidates, reference = _candidates(evaluations, full), _reference(evaluations, full, options)
    if not candidates:
        return None, None
    scores = np.stack([e.scores[options.ranked_by] for e in candidates])
    p_values = holm(non_inferiority_p_values(scores, reference, margin, seed=options.seed))
    passed = [(e, p) for e, p in zip(candidates, p_values, strict=True) if p < _ALPHA]
    return min(passed, key=lambda found: _cost(found[0]), default=(None, None))


def _candidates(evaluations: Sequence[Evaluation], full: Hookpoint) -> list[Evaluation]:
    """Return the evaluations of layers below the full depth, without the embeddings."""
    depth = full.layer_pooling[0]
    return [e for e in evaluations if e.hookpoint is not None and 0 < e.hookpoint.layer_pooling[0] < depth]


def _reference(evaluations: Sequence[Evaluation], full: Hookpoint, options: RunOptions) -> NDArray[np.float64]:
    found = next(e for e in evaluations if e.hookpoint == full and e.adaptor is None)
    return found.scores[options.ranked_by]


def _find_nearest(evaluations: Sequence[Evaluation], full: Hookpoint, options: RunOptions) -> Nearest | None:
    """Return the candidate with the highest score, with the interval of its difference."""
    candidates = _candidates(evaluations, full)
    if not candidates:
        return None
    reference = _reference(evaluations, full, options)
    best = max(candidates, key=lambda e: e.mean(options.ranked_by))
    point = best.hookpoint or full
    scores = best.scores[options.ranked_by]
    differences = scores - reference
    quantile = NormalDist().inv_cdf(1 - _ALPHA / len(candidates))
    return Nearest(
        encoder=point,
        lens=best.adaptor is not None,
        difference=float(differences.mean()),
        ci95=bootstrap_intervals(differences[None], options.seed)[0],
        passing=_passing_margin(scores, reference, len(candidates), seed=options.seed),
        resolution=quantile * float(differences.std(ddof=1)) / len(differences) ** 0.5 if len(differences) > 1 else 1.0,
    )


def _passing_margin(
    scores: NDArray[np.float64], reference: NDArray[np.float64], candidates: int, *, seed: int
) -> float | None:
    """Return the smallest margin, to three decimals, that an encoder passes regardless of the other candidates."""

    def passes(margin: float) -> bool:
        """Test with the strictest of Holm's corrections."""
        return non_inferiority_p_values(scores[None], reference, margin, seed=seed)[0] * candidates < _ALPHA

    low, high = 0.0, 1.0
    if not passes(high):
        return None
    while high - low > _STEP:
        middle = (low + high) / 2
        low, high = (low, middle) if passes(middle) else (middle, high)
    return ceil(high * 1000) / 1000


def _cost(evaluation: Evaluation) -> tuple[int, int]:
    """Return the sort key of a candidate: number of blocks, then raw before lens."""
    layer = evaluation.hookpoint.layer_pooling[0] if evaluation.hookpoint else 0
    return layer, int(evaluation.adaptor is not None)
