"""Correlate the cosines of sentence pairs with their gold scores at every layer, in one pass over the sentences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probe.data.scored_pairs import ScoredPairs
from probe.encoding.chunk_states import Progress, RunContext, read_texts, silent
from probe.encoding.hookpoints import with_full_model
from probe.encoding.reader import LayerReader
from probe.experiments.provenance import text_model_settings, text_statistics_settings
from probe.layers.hookpoint import Hookpoint
from probe.metrics.correlation import highest_spearman, paired_bootstrap, pearson, resample_spearman, spearman
from probe.metrics.geometry import is_collapsed
from probe.metrics.significance import percentile_intervals
from probe.metrics.vectors import Embeddings, unit
from probe.results.similarity import SimilarityResult, SimilarityRow
from probe.store.store import Store

__all__ = ["SimilarityOptions", "correlate_layers", "rank_correlations"]

_TEST = "two-sided paired bootstrap over pairs"
_LIBRARIES = ("numpy",)

Wide = NDArray[np.float64]


@dataclass(frozen=True)
class SimilarityOptions:
    """How to correlate.

    Attributes:
        seed: Of intervals and tests.
        command: What made the result, kept in it.
        store: Where states are read and kept, if anywhere.
        progress: Told about every batch.
    """

    seed: int = 0
    command: str = ""
    store: Store | None = None
    progress: Progress = silent


def correlate_layers(
    reader: LayerReader,
    pairs: ScoredPairs,
    layers: str = "all",
    *,
    poolings: Sequence[str] = ("own",),
    options: SimilarityOptions | None = None,
) -> SimilarityResult:
    """Correlate cosines with gold scores at every layer of one model; the full model is always among the rows.

    Args:
        reader: The model's reader.
        pairs: Pairs of sentences with scores.
        layers: `all`, `0-6` or `1,3,5`.
        poolings: Poolings to read at every layer; `own` is the model's.
        options: How to correlate.

    Returns:
        The layers, ranked by Spearman's correlation.

    Raises:
        CallError: A layer or pooling is wrong.
    """
    options = options or SimilarityOptions()
    points, full = with_full_model(reader.model, layers, poolings)
    parts = [(pairs.name, part) for part in pairs.parts]
    layer_poolings = [point.layer_pooling for point in points]
    states, truncated = read_texts(reader, parts, layer_poolings, context=RunContext(options.store, options.progress))
    rows = rank_correlations({point: states[point.layer_pooling] for point in points}, full, pairs, seed=options.seed)
    settings = {
        "metric": "spearman",
        "similarity": "cosine",
        "baseline": str(full),
        "highest": highest_spearman(pairs.gold),
        "models": [text_model_settings(reader.model, pairs.parts, truncated, token_budget=reader.token_budget)],
        "dataset": _dataset_settings(pairs),
        "statistics": text_statistics_settings("pairs", _TEST, options.seed, libraries=_LIBRARIES),
    }
    return SimilarityResult(options.command, datetime.now(UTC).isoformat(timespec="seconds"), settings, rows)


def rank_correlations(
    states: Mapping[Hookpoint, Embeddings], baseline: Hookpoint, pairs: ScoredPairs, *, seed: int
) -> tuple[SimilarityRow, ...]:
    """Rank hookpoints by how their cosines agree with the gold scores.

    Args:
        states: Float32 `(N, D)` of all sentences, per hookpoint.
        baseline: The hookpoint the others are tested against, one of them.
        pairs: Pairs of those sentences, with scores.
        seed: Of intervals and tests.

    Returns:
        The rows, best first, collapsed ones last.
    """
    cosines = {point: _cosines(vectors, pairs) for point, vectors in states.items()}
    rows = {point: _describe(point, states[point], cosines[point], gold=pairs.gold) for point in states}
    alive = [point for point, row in rows.items() if row.spearman is not None]
    if alive:
        resampled = resample_spearman([cosines[point] for point in alive], pairs.gold, seed)
        for point, bounds in zip(alive, percentile_intervals(resampled), strict=True):
            rows[point] = replace(rows[point], spearman_ci95=bounds)
        rows |= _test(rows, alive, baseline, resampled=resampled)
    ordered = sorted(rows.values(), key=lambda row: (row.spearman is None, -(row.spearman or 0.0)))
    return tuple(replace(row, rank=rank) for rank, row in enumerate(ordered, start=1))


def _test(
    rows: Mapping[Hookpoint, SimilarityRow], alive: Sequence[Hookpoint], baseline: Hookpoint, *, resampled: Wide
) -> dict[Hookpoint, SimilarityRow]:
    """Return the rows with their differences to the full model, where that is not collapsed."""
    reference = rows[baseline].spearman
    if reference is None:
        return {}
    p_values = paired_bootstrap(resampled, resampled[:, alive.index(baseline)])
    return {
        point: replace(rows[point], delta=(rows[point].spearman or 0.0) - reference, p_value=p_value)
        for point, p_value in zip(alive, p_values, strict=True)
        if point != baseline
    }


def _cosines(vectors: Embeddings, pairs: ScoredPairs) -> Wide:
    """Return the cosine of every pair `(P,)`, in float64."""
    units = unit(vectors).astype(np.float64)
    left, right = np.array(pairs.pairs).T
    cosines: Wide = np.einsum("pd,pd->p", units[left], units[right])
    return cosines


def _describe(point: Hookpoint, vectors: Embeddings, cosines: Wide, *, gold: Wide) -> SimilarityRow:
    layer, pooling = point.layer_pooling
    collapsed = is_collapsed(vectors)
    row = SimilarityRow(0, str(point), layer, pooling, int(vectors.shape[1]), collapsed=collapsed)
    row = replace(row, mean_cosine=float(cosines.mean()))
    # What is left of equal vectors' cosines is rounding, and would be ranked.
    return row if collapsed else replace(row, spearman=spearman(cosines, gold), pearson=pearson(cosines, gold))


def _dataset_settings(pairs: ScoredPairs) -> dict[str, Any]:
    return {
        "name": pairs.name,
        "pairs": len(pairs.pairs),
        "sentences": sum(map(len, pairs.parts)),
        "scores": [min(pairs.scores), max(pairs.scores)],
        "limited": pairs.limited,
        "synthetic": pairs.synthetic or None,
        "text_sha256": pairs.text_hash,
        "scores_sha256": pairs.score_hash,
        "defects": list(pairs.defects),
    }
