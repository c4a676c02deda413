"""Leaderboards from evaluations: order, intervals, paired tests against the baseline."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from probe.data.dataset import Dataset, refuse_images
from probe.encoding.maxsim import MAXSIM
from probe.encoding.protocols import Encoder, LateEncoder
from probe.encoding.reader import LayerReader
from probe.errors import CallError
from probe.evaluation.bm25 import BM25, evaluate_bm25
from probe.evaluation.composite import Composite, SimilarityChoice
from probe.evaluation.compressed import Compressed
from probe.evaluation.evaluate import evaluate
from probe.evaluation.fusion import Fusion, RunFusion
from probe.evaluation.one_pass import sweep_fusions, typical_tokens
from probe.evaluation.published_scores import find_published, uses_published_settings
from probe.evaluation.records import Evaluation
from probe.evaluation.retention import find_retention
from probe.evaluation.storage import add_storage
from probe.evaluation.tower_pair import PAIRED, TowerPair
from probe.evaluation.tracker import RUN_DEPTH
from probe.experiments.options import RunOptions
from probe.experiments.provenance import dataset_settings, model_settings, statistics_settings
from probe.layers.hookpoint import TOKENS, Hookpoint
from probe.metrics.retrieval import Metric
from probe.metrics.significance import bootstrap_intervals, paired_p_values
from probe.metrics.similarity import COSINE, OWN
from probe.models.info import ModelProfile
from probe.results.leaderboard import PCA, Leaderboard, Row
from probe.results.query_examples import Examples, choose_examples
from probe.results.row import Reading

__all__ = ["Candidate", "OtherEncoder", "rank_candidates"]

_COST = "FLOPs of the matrix products per document of about {tokens} tokens, relative to the baseline"
_LATE_FUSION = f"rankings of {RUN_DEPTH} documents; rrf adds 1 / (60 + rank), combsum scores scaled to 0..1 per query"


@dataclass(frozen=True)
class Candidate:
    """A model and its hookpoints ranked as single rows; may be empty if the model occurs only in fusions."""

    reader: LayerReader
    hookpoints: tuple[Hookpoint, ...]


@dataclass(frozen=True, eq=False)
class OtherEncoder:
    """A custom encoder, scored by its own vectors.

    Attributes:
        name: Name in tables.
        encoder: The encoder.
    """

    name: str
    encoder: Encoder | LateEncoder

    def __str__(self) -> str:
        return self.name


def rank_candidates(
    candidates: Sequence[Candidate],
    dataset: Dataset,
    baseline: str,
    *,
    options: RunOptions | None = None,
    fusions: Sequence[Composite | RunFusion] = (),
    others: Sequence[OtherEncoder] = (),
) -> Leaderboard:
    """Rank hookpoints of any number of models, and their fusions.

    Args:
        candidates: Models and their hookpoints; each model encodes every text once.
        dataset: Data set to retrieve from.
        baseline: Encoder that all others are tested against.
        options: Run options.
        fusions: Fusions of hookpoints of those models, and of their rankings.
        others: Encoder objects, scored by their own vectors.

    Returns:
        The leaderboard.

    Raises:
        CallError: If the baseline is not among the encoders, or a similarity is set for token vectors.
    """
    options = options or RunOptions()
    dataset = options.apply_id_rule(dataset)
    metrics = options.metrics
    readers = {candidate.reader.model.source.name: candidate.reader for candidate in candidates}
    encoders = [*(Fusion((point,)) for candidate in candidates for point in candidate.hookpoints), *fusions]
    _check(encoders, others, baseline, options=options)
    evaluations, truncated = sweep_fusions(
        readers,
        encoders,
        dataset,
        metrics=metrics,
        context=options.context,
        engine=options.engine,
        similarity=options.similarity,
    )
    evaluations += _evaluate_others(others, dataset, metrics, options=options)
    settings = {
        "metric": str(options.ranked_by),
        "metrics": [str(metric) for metric in metrics],
        "baseline": baseline,
        **_comparison_settings(encoders, readers, options.similarity),
        "cost": _COST.format(tokens=typical_tokens(dataset)),
        "models": [
            model_settings(reader.model, dataset, truncated[name], token_budget=reader.token_budget)
            for name, reader in readers.items()
        ],
        "dataset": dataset_settings(dataset),
        "statistics": statistics_settings(options.seed),
    }
    ordered = sorted(evaluations, key=lambda e: (-e.mean(options.ranked_by), e.parameters or 0, e.encoder, e.dim or 0))
    rows = _build_rows(ordered, baseline, options, published=_published(candidates, dataset, options))
    examples = _examples(ordered, dataset, options.ranked_by) if options.examples else None
    created = datetime.now(UTC).isoformat(timespec="seconds")
    scores = tuple(tuple(evaluation.scores[options.ranked_by].tolist()) for evaluation in ordered)
    return Leaderboard(options.command, created, settings, rows, examples, scores)


def _check(
    encoders: Sequence[Composite | RunFusion], others: Sequence[OtherEncoder], baseline: str, *, options: RunOptions
) -> None:
    """Raise before any encoding if the request cannot be ranked."""
    names = [*dict.fromkeys(map(str, encoders)), *map(str, others), *([BM25] if options.bm25 else [])]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise CallError(f"duplicate encoder name '{twice}': name one of them, such as {{'mine': model}}")
    if baseline not in names:
        raise CallError(f"unknown baseline '{baseline}': expected one of {', '.join(names)}")
    if options.storage.compresses and not any(isinstance(encoder, Compressed) for encoder in encoders):
        raise CallError("compressed vectors cannot be ranked here: use rank, compare_adaptors or fit of adaptors")
    tokens = _tokens(encoders)
    if tokens and options.similarity != OWN:
        raise CallError(
            f"'{tokens[0]}' has one vector per token, compared by MaxSim: remove the similarity {options.similarity}, "
            "or the tokens"
        )


def _evaluate_others(
    others: Sequence[OtherEncoder], dataset: Dataset, metrics: Sequence[Metric], *, options: RunOptions
) -> list[Evaluation]:
    """Score encoder objects, and BM25 if requested."""
    found = []
    for other in others:
        refuse_images(dataset, f"'{other}'")
        one = evaluate(
            other.encoder, dataset, metrics, name=other.name, similarity=options.similarity, progress=options.progress
        )
        note = f"vectors of its own encode_query and encode_document ({type(other.encoder).__name__})"
        found.append(replace(one, notes=(note,)))
    return [*found, evaluate_bm25(dataset, metrics)] if options.bm25 else found


def _tokens(encoders: Sequence[Composite | RunFusion]) -> list[Hookpoint]:
    return [point for encoder in encoders for point in encoder.points if point.pooling == TOKENS]


def _comparison_settings(
    encoders: Sequence[Composite | RunFusion], readers: Mapping[str, LayerReader], similarity: str
) -> dict[str, Any]:
    """Return the settings of comparing documents with queries."""
    return {
        "similarity": f"{_similarity_words(encoders, readers, similarity)}, float32",
        "towers": PAIRED if any(isinstance(encoder, TowerPair) for encoder in encoders) else None,
        "late_interaction": MAXSIM if _tokens(encoders) else None,
        "late_fusion": _LATE_FUSION if any(isinstance(encoder, RunFusion) for encoder in encoders) else None,
        "ties": "score descending, then document id descending (TREC)",
    }


def _similarity_words(encoders: Sequence[Composite | RunFusion], readers: Mapping[str, LayerReader], asked: str) -> str:
    """Return the similarity function; if models differ, by model."""
    if asked != OWN:
        return asked
    own = {name: reader.model.similarity for name, reader in readers.items()}
    choice = SimilarityChoice(asked, own)
    joined = [encoder for encoder in encoders if not isinstance(encoder, RunFusion)]
    used = dict.fromkeys([*own.values(), *map(choice.of, joined)])
    if len(used) == 1:
        return f"{OWN} ({next(iter(used))})"
    words = ", ".join(f"{name} {similarity}" for name, similarity in own.items())
    return f"{OWN} ({words}; fusions and adaptors {COSINE})"


def _examples(ordered: Sequence[Evaluation], dataset: Dataset, metric: Metric) -> Examples:
    scores = np.stack([evaluation.scores[metric] for evaluation in ordered])
    return choose_examples(scores, [evaluation.leaders for evaluation in ordered], dataset)


def _published(candidates: Sequence[Candidate], dataset: Dataset, options: RunOptions) -> dict[str, float | None]:
    """Return published scores by encoder, for rows with the published settings."""
    found: dict[str, float | None] = {}
    for candidate in candidates:
        model = candidate.reader.model
        if options.similarity in (OWN, model.similarity):
            found |= _published_scores(model, candidate.hookpoints, dataset, metric=options.ranked_by)
    if options.bm25:
        found[BM25] = find_published(BM25, dataset, options.ranked_by)
    return found


def _published_scores(
    model: ModelProfile, points: Sequence[Hookpoint], dataset: Dataset, *, metric: Metric
) -> dict[str, float | None]:
    """Return the published score of the full model, if it runs with the published settings."""
    prompts = (model.query_prompt, model.document_prompt)
    hub_id = model.source.hub_id
    if hub_id is None or not uses_published_settings(hub_id, model.max_tokens, prompts):
        return {}
    full = [str(point) for point in points if point.layer_pooling == (model.depth, model.pooling)]
    return dict.fromkeys(full, find_published(hub_id, dataset, metric))


def _build_rows(
    ordered: Sequence[Evaluation], baseline: str, options: RunOptions, *, published: dict[str, float | None]
) -> tuple[Row, ...]:
    # Adaptors on the baseline, and its compressed vectors, share its name.
    frozen = min(
        (e for e in ordered if e.encoder == baseline), key=lambda e: (e.adaptor is not None, e.storage is not None)
    )
    scores, reference = np.stack([e.scores[options.ranked_by] for e in ordered]), frozen.scores[options.ranked_by]
    intervals = bootstrap_intervals(scores, options.seed)
    p_values = paired_p_values(scores, reference, options.seed)
    against_pca = _compare_with_pca(ordered, options)
    kept = find_retention(ordered, options.ranked_by, options.seed)
    rows = []
    for index, evaluation in enumerate(ordered):
        row = _build_row(evaluation, rank=index + 1, reference=frozen.flops)
        row = replace(row, ci95=intervals[index], retention=kept.get(index))
        if evaluation.adaptor is None and evaluation.storage is None:
            row = replace(row, published=published.get(evaluation.encoder))
        if evaluation is not frozen:
            row = replace(row, delta=float((scores[index] - reference).mean()), p_value=p_values[index])
        if index in against_pca:
            row = replace(row, pca_delta=against_pca[index][0], pca_p_value=against_pca[index][1])
        rows.append(row)
    return add_storage(rows, ordered, str(options.ranked_by))


def _compare_with_pca(ordered: Sequence[Evaluation], options: RunOptions) -> dict[int, tuple[float, float | None]]:
    """Return each other adaptor's difference to PCA for the same encoder and dimension, with a p-value, by index."""
    pca = {
        (e.encoder, e.dim, e.storage): e.scores[options.ranked_by]
        for e in ordered
        if e.adaptor and e.adaptor.kind == PCA
    }
    differences = {
        index: one.scores[options.ranked_by] - pca[key]
        for index, one in enumerate(ordered)
        if one.adaptor is not None and one.adaptor.kind != PCA and (key := (one.encoder, one.dim, one.storage)) in pca
    }
    if not differences:
        return {}
    # All rows at once, so that they share the random signs.
    rows = np.stack([*differences.values()])
    p_values = paired_p_values(rows, np.zeros(rows.shape[1]), options.seed)
    return {
        index: (float(row.mean()), p_value) for (index, row), p_value in zip(differences.items(), p_values, strict=True)
    }


def _build_row(evaluation: Evaluation, rank: int, *, reference: int | None) -> Row:
    point, adaptor = evaluation.hookpoint, evaluation.adaptor
    row = Row(
        rank=rank,
        encoder=evaluation.encoder,
        layer=point.layer_pooling[0] if point else None,
        pooling=point.pooling if point else None,
        dim=evaluation.dim,
        labels=evaluation.labels,
        transductive=evaluation.transductive,
        scores={str(metric): evaluation.mean(metric) for metric in evaluation.scores},
        collapsed=evaluation.collapsed,
        cost=evaluation.flops / reference if evaluation.flops is not None and reference else None,
        ms_per_text=evaluation.ms_per_text,
        parameters=evaluation.parameters,
        hookpoints=tuple(Reading(point.model, *point.layer_pooling) for point in evaluation.hookpoints),
        note="; ".join(evaluation.notes) or None,
    )
    if adaptor is None:
        return row
    return replace(
        row,
        adaptor=adaptor.kind,
        fit_seconds=adaptor.fit_seconds,
        parameters=(evaluation.parameters or 0) + adaptor.parameters,
    )
