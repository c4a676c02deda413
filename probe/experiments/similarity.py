"""Correlation of cosines of sentence pairs with gold scores at every layer, in one pass over the sentences."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from probe.encoding.chunk_states import read_texts
from probe.encoding.hookpoints import with_full_model
from probe.encoding.opening import Openable, as_reader
from probe.experiments.options import RunOptions
from probe.experiments.provenance import text_model_settings, text_statistics_settings
from probe.layers.hookpoint import Hookpoint, Layers
from probe.metrics.correlation import highest_spearman, paired_bootstrap, pearson, resample_spearman, spearman
from probe.metrics.geometry import is_collapsed
from probe.metrics.significance import percentile_intervals
from probe.metrics.vectors import Embeddings, unit
from probe.results.similarity import SimilarityResult, SimilarityRow
from probe.sources.scored_pairs import ScoredPairs, load_scored_pairs

__all__ = ["correlate_layers", "rank_correlations"]

_TEST = "two-sided paired bootstrap over pairs"
_LIBRARIES = ("numpy",)

Wide = NDArray[np.float64]


def correlate_layers(
    model: Openable,
    pairs: str | Path | ScoredPairs,
    layers: Layers = "all",
    *,
    poolings: str | Sequence[str] = ("own",),
    options: RunOptions | None = None,
) -> SimilarityResult:
    """Correlate cosines with gold scores at every layer of one model; the full model is always included.

    Args:
        model: An alias, a hub id or a folder; a loaded model, its reader, or a `SentenceTransformer`.
        pairs: Scored sentence pairs, or their name or file.
        layers: `all`, `0-6` or `1,3,5`, or numbers.
        poolings: Poolings to read at every layer; `own` is the model's own.
        options: Run options.

    Returns:
        The layers, ranked by Spearman's correlation.

    Raises:
        ProbeError: If an argument is invalid, or the model or the pairs are unavailable; before any encoding.
    """
    options = RunOptions.of(options)
    reader = as_reader(model, options.load, options.store)
    points, full = with_full_model(reader.model, layers, poolings)
    scored = pairs if isinstance(pairs, ScoredPairs) else load_scored_pairs(str(pairs))
    parts = [(scored.name, part) for part in scored.parts]
    layer_poolings = [point.layer_pooling for point in points]
    states, truncated = read_texts(reader, parts, layer_poolings, context=options.context)
    rows = rank_correlations({point: states[point.layer_pooling] for point in points}, full, scored, seed=options.seed)
    settings = {
        "metric": "spearman",
        "similarity": "cosine",
        "baseline": str(full),
        "highest": highest_spearman(scored.gold),
        "models": [text_model_settings(reader.model, scored.parts, truncated, token_budget=reader.token_budget)],
        "dataset": _dataset_settings(scored),
        "statistics": text_statistics_settings("pairs", _TEST, options.seed, libraries=_LIBRARIES),
    }
    return SimilarityResult(options.command, datetime.now(UTC).isoformat(timespec="seconds"), settings, rows)


def rank_correlations(
    states: Mapping[Hookpoint, Embeddings], baseline: Hookpoint, pairs: ScoredPairs, *, seed: int
) -> tuple[SimilarityRow, ...]:
    """Rank hookpoints by the correlation of their cosines with the gold scores, given `(N, D)` of all sentences.

    All are tested against the baseline, which is one of them. Rows are sorted best first, collapsed ones last.
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
    """Add differences to the full model, unless that is collapsed."""
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
    # Differences between the cosines of equal vectors are rounding and must not be ranked.
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
