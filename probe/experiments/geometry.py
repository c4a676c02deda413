"""Geometry of every layer of models on a data set, measured in one pass over the texts."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from statistics import fmean
from typing import Any

import numpy as np

from probe.data.corpus import find_positions
from probe.data.dataset import Dataset, refuse_images
from probe.data.texts import spread
from probe.encoding.chunk_states import RunContext, prompted_documents, prompted_queries, read_states
from probe.encoding.hookpoints import select_hookpoints
from probe.encoding.opening import Openable, as_reader, name_reader
from probe.encoding.reader import LayerReader
from probe.errors import CallError, DataError
from probe.experiments.datasets import run_datasets
from probe.experiments.options import RunOptions
from probe.experiments.provenance import dataset_settings, join_dataset_settings, join_model_settings, model_settings
from probe.experiments.ranking import Candidate
from probe.layers.hookpoint import Hookpoint, LayerPooling, Layers
from probe.metrics.geometry import (
    alignment,
    dominant_dimensions,
    entropy_rank,
    is_collapsed,
    linear_cka,
    mean_cosine,
    singular_values,
    spectrum,
    uniformity,
)
from probe.metrics.vectors import Embeddings
from probe.results.geometry import MEASURES, GeometryMatrix, GeometryResult, GeometryRow
from probe.sources.several import GivenDatasets, as_datasets

__all__ = ["SAMPLE", "measure_candidates", "measure_datasets", "measure_geometry"]

# Maximum number of documents measured, spread evenly over the corpus; and of relevant pairs.
SAMPLE = 2048


@dataclass(frozen=True)
class _Cloud:
    """Vectors at one hookpoint.

    Attributes:
        sample: Documents `(N, D)`.
        queries: Queries of P relevant pairs `(P, D)`.
        positives: Documents of those pairs `(P, D)`.
    """

    sample: Embeddings
    queries: Embeddings
    positives: Embeddings


@dataclass(frozen=True)
class _Wanted:
    """Row numbers to keep: measured documents, and both sides of relevant pairs."""

    sample: tuple[int, ...]
    pairs: tuple[tuple[int, int], ...]


def measure_geometry(
    models: "Openable | Sequence[Openable] | Mapping[str, Openable]",
    dataset: GivenDatasets,
    layers: Layers = "all",
    *,
    poolings: str | Sequence[str] = ("own",),
    options: RunOptions | None = None,
) -> GeometryResult:
    """Measure the geometry of every layer of one or several models.

    Args:
        models: One model or several, each an alias, a hub id or a folder; a loaded model, its reader, or a
            `SentenceTransformer`. `{"mine": model}` names it.
        dataset: A data set, or its name or path; its relevance labels define the matching pairs. Several give a
            `GeometryMatrix`.
        layers: `all`, `0-6` or `1,3,5`, or numbers.
        poolings: Poolings to read at every layer; `own` is the model's own.
        options: Run options.

    Returns:
        The measures.

    Raises:
        ProbeError: If an argument is invalid, or a model or the data is unavailable or has images; before any encoding.
    """
    options = RunOptions.of(options)
    readers = _open_all(models, options)
    names = Counter(reader.model.source.name for reader in readers)
    if len(names) < len(readers):
        raise CallError(f"duplicate model '{names.most_common(1)[0][0]}': expected different models")
    candidates = [Candidate(reader, select_hookpoints(reader.model, layers, poolings)) for reader in readers]
    return measure_datasets(candidates, as_datasets(dataset), options)


def _open_all(
    models: "Openable | Sequence[Openable] | Mapping[str, Openable]", options: RunOptions
) -> list[LayerReader]:
    if isinstance(models, Mapping):
        opened = {name: as_reader(model, options.load, options.store) for name, model in models.items()}
        return [name_reader(reader, name) for name, reader in opened.items()]
    given = [models] if isinstance(models, str) or not isinstance(models, Sequence) else models
    return [as_reader(model, options.load, options.store) for model in given]


def measure_datasets(
    candidates: Sequence[Candidate],
    datasets: Mapping[str, Dataset],
    options: RunOptions,
    *,
    failed: Mapping[str, str] | None = None,
) -> GeometryResult:
    """Measure hookpoints on one or several data sets, one after another; the arguments are those of `rank_datasets`.

    Raises:
        CallError: If a data set has images.
        DataError: If one has a single document.
    """

    def measure_on(name: str, dataset: Dataset) -> GeometryResult:
        """Measure on one data set."""
        return measure_candidates(candidates, dataset, options.named(name) if len(datasets) > 1 else options)

    return run_datasets(datasets, measure_on, _join, failed=failed)


def _join(results: Mapping[str, GeometryResult]) -> GeometryMatrix:
    """Return the means of measures on several data sets."""
    several = {name: result.settings for name, result in results.items()}
    first = next(iter(results.values()))
    aligned = zip(*(result.rows for result in results.values()), strict=True)
    rows = tuple(_mean_row(dict(zip(results, same, strict=True))) for same in aligned)
    settings = {
        **first.settings,
        "models": join_model_settings(several),
        "dataset": join_dataset_settings({name: one["dataset"] for name, one in several.items()}),
        **{key: sum(one[key] for one in several.values()) for key in ("sample", "pairs")},
        "datasets": several,
    }
    set_cka = {name: result.cka for name, result in results.items()}
    cka = np.mean([np.array(one) for one in set_cka.values()], axis=0)
    return GeometryMatrix(first.command, first.created, settings, rows, tuple(map(tuple, cka.tolist())), set_cka)


def _mean_row(rows: dict[str, GeometryRow]) -> GeometryRow:
    several = list(rows.values())
    values = {name: [getattr(row, name) for row in several] for name in MEASURES}
    means: dict[str, Any] = {name: None if None in found else fmean(found) for name, found in values.items()}
    shortest = min(len(row.spectrum) for row in several)
    return replace(
        several[0],
        **means,
        dominant=(),
        spectrum=tuple(np.mean([row.spectrum[:shortest] for row in several], axis=0).tolist()),
        collapsed=any(row.collapsed for row in several),
        datasets=rows,
    )


def measure_candidates(candidates: Sequence[Candidate], dataset: Dataset, options: RunOptions) -> GeometryResult:
    """Measure hookpoints of any number of models; each model encodes every text once.

    Raises:
        CallError: If the data set has images.
        DataError: If it has a single document.
    """
    refuse_images(dataset, "probe geometry")
    if (count := len(dataset.documents)) < 2:
        raise DataError(f"'{dataset.name}' has {count} document: expected at least 2 to compare")
    wanted = _choose(dataset)
    clouds: dict[Hookpoint, _Cloud] = {}
    models = []
    for candidate in candidates:
        found, truncated = _read(candidate, dataset, wanted, context=options.context)
        clouds |= found
        reader = candidate.reader
        models.append(model_settings(reader.model, dataset, truncated, token_budget=reader.token_budget))
    settings = {
        "models": models,
        "dataset": dataset_settings(dataset),
        "sample": len(wanted.sample),
        "pairs": len(wanted.pairs),
    }
    return GeometryResult(
        command=options.command,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        settings=settings,
        rows=tuple(_measure(point, cloud) for point, cloud in clouds.items()),
        cka=tuple(map(tuple, linear_cka([cloud.sample for cloud in clouds.values()]).tolist())),
    )


def _choose(dataset: Dataset) -> _Wanted:
    rows = {name: row for row, name in enumerate(dataset.queries.ids)}
    judged = {
        (query, document): rows[query]
        for query, found in dataset.qrels.items()
        for document, grade in found.items()
        if grade > 0 and query in rows
    }
    names = {document for _, document in judged}
    positions = find_positions(dataset.documents, names)
    pairs = [(row, positions[document]) for (_, document), row in judged.items() if document in positions]
    return _Wanted(
        spread(len(dataset.documents), SAMPLE),
        tuple(pairs[number] for number in spread(len(pairs), SAMPLE)),
    )


def _read(
    candidate: Candidate, dataset: Dataset, wanted: _Wanted, *, context: RunContext
) -> tuple[dict[Hookpoint, _Cloud], tuple[int, int]]:
    """Return the vectors of one model, and the number of its truncated texts."""
    reader, points = candidate.reader, candidate.hookpoints
    layer_poolings = [point.layer_pooling for point in points]
    chunks = list(read_states(reader, prompted_queries(reader, dataset), layer_poolings, context=context))
    asked = [query for query, _ in wanted.pairs]
    queries = {key: np.concatenate([chunk.vectors[key] for chunk in chunks])[asked] for key in layer_poolings}
    cut_queries = sum(chunk.truncated for chunk in chunks)
    rows = sorted({*wanted.sample, *(document for _, document in wanted.pairs)})
    found, cut_documents = _pick(candidate, dataset, rows, context=context)
    order = {row: number for number, row in enumerate(rows)}
    sample, positives = [order[row] for row in wanted.sample], [order[row] for _, row in wanted.pairs]
    clouds = {
        point: _Cloud(
            found[point.layer_pooling][sample], queries[point.layer_pooling], found[point.layer_pooling][positives]
        )
        for point in points
    }
    return clouds, (cut_documents, cut_queries)


def _pick(
    candidate: Candidate, dataset: Dataset, rows: Sequence[int], *, context: RunContext
) -> tuple[dict[LayerPooling, Embeddings], int]:
    """Return the states of selected documents `(R, D)`, in row order, and the number of truncated documents."""
    reader, layer_poolings = candidate.reader, [point.layer_pooling for point in candidate.hookpoints]
    parts: dict[LayerPooling, list[Embeddings]] = {key: [] for key in layer_poolings}
    wanted, first, truncated = np.array(rows), 0, 0
    for chunk in read_states(reader, prompted_documents(reader, dataset), layer_poolings, context=context):
        here = wanted[(wanted >= first) & (wanted < first + len(chunk.ids))] - first
        for layer_pooling in layer_poolings:
            parts[layer_pooling].append(chunk.vectors[layer_pooling][here])
        first += len(chunk.ids)
        truncated += chunk.truncated
    return {key: np.concatenate(vectors) for key, vectors in parts.items()}, truncated


def _measure(point: Hookpoint, cloud: _Cloud) -> GeometryRow:
    norms = np.linalg.norm(cloud.sample.astype(np.float64), axis=1)
    values = singular_values(cloud.sample)
    shares = spectrum(values)
    return GeometryRow(
        encoder=str(point),
        layer=point.layer_pooling[0],
        pooling=point.layer_pooling[1],
        dim=int(cloud.sample.shape[1]),
        mean_cosine=mean_cosine(cloud.sample),
        effective_rank=entropy_rank(values),
        top_share=float(shares[0]),
        norm=float(norms.mean()),
        norm_deviation=float(norms.std()),
        alignment=alignment(cloud.queries, cloud.positives) if len(cloud.queries) else None,
        uniformity=uniformity(cloud.sample),
        dominant=dominant_dimensions(cloud.sample),
        spectrum=tuple(shares.tolist()),
        collapsed=is_collapsed(cloud.sample, values),
    )
