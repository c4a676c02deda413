"""Encoders of a leaderboard with their documents compressed, calibrated to documents of the ranked data set."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain

import numpy as np

from adaptors.quantizing.calibration import MOST_DOCUMENTS
from adaptors.quantizing.plan import check_any, compress
from probe.data.dataset import Dataset
from probe.encoding.chunk_states import RunContext, prompted_documents, read_states
from probe.encoding.reader import LayerReader
from probe.errors import CallError
from probe.evaluation.composite import Composite, SimilarityChoice
from probe.evaluation.compressed import Compressed
from probe.evaluation.fusion import Fusion, RunFusion
from probe.experiments.given import ResolvedSpecs
from probe.experiments.options import RunOptions
from probe.layers.hookpoint import TOKENS, Hookpoint
from probe.metrics.similarity import COSINE, DOT
from probe.metrics.vectors import Embeddings, unit

__all__ = ["can_compress", "compress_specs"]


def compress_specs(resolved: ResolvedSpecs, dataset: Dataset, options: RunOptions) -> list[Compressed]:
    """Return the encoders of specs with their documents compressed.

    The ranges come from the first documents of the data set, without relevance labels.

    Args:
        resolved: The encoders.
        dataset: The ranked data set.
        options: Sizes, store, progress and similarity.

    Returns:
        The encoders, for every size.

    Raises:
        CallError: An encoder has vectors per token, or is compared by a distance.
    """
    if not options.storage.compresses:
        return []
    alone = [Fusion((point,)) for candidate in resolved.candidates for point in candidate.hookpoints]
    encoders: list[Composite] = [*alone, *(one for one in resolved.fusions if not isinstance(one, RunFusion))]
    readers = {candidate.reader.model.source.name: candidate.reader for candidate in resolved.candidates}
    choice = _similarities(readers, options)
    for encoder in encoders:
        _check(encoder, choice.of(encoder))
    states = _read(readers, encoders, dataset, context=replace(options.context, again=True))
    found: list[Compressed] = []
    for encoder in encoders:
        scaled = choice.of(encoder) == COSINE
        documents = encoder.sides[1]
        vectors = documents.join_arrays([states[point] for point in documents.points])
        seen = [(dataset.name, dataset.documents.text_hash)]
        found += compress(encoder, unit(vectors) if scaled else vectors, options.storage, seen=seen, scaled=scaled)
    check_any(found, options.storage)
    return found


def can_compress(encoder: Composite, readers: Mapping[str, LayerReader], options: RunOptions) -> bool:
    """Return whether an encoder's unit vectors can be compressed: it is compared by the cosine.

    Raises:
        CallError: It is compared by a distance, and vectors are to be compressed.
    """
    similarity = _similarities(readers, options).of(encoder)
    if options.storage.compresses:
        _check(encoder, similarity)
    return similarity == COSINE


def _similarities(readers: Mapping[str, LayerReader], options: RunOptions) -> SimilarityChoice:
    return SimilarityChoice(options.similarity, {name: reader.model.similarity for name, reader in readers.items()})


def _check(encoder: Composite, similarity: str) -> None:
    """Raise if an encoder cannot be compressed."""
    tokens = [point for point in encoder.points if point.pooling == TOKENS]
    if tokens:
        raise CallError(f"'{tokens[0]}' has one vector per token, and bits need one per text: leave one of them out")
    if similarity not in (COSINE, DOT):
        raise CallError(
            f"'{encoder}' is compared by its {similarity} distance, and compressed vectors by {COSINE} or {DOT}: leave "
            f"out the bits, or choose --similarity {COSINE}"
        )


def _read(
    readers: Mapping[str, LayerReader], encoders: Sequence[Composite], dataset: Dataset, *, context: RunContext
) -> dict[Hookpoint, Embeddings]:
    """Return the states of the first documents by hookpoint `(N, D)`."""
    points = dict.fromkeys(chain.from_iterable(encoder.sides[1].points for encoder in encoders))
    found: dict[Hookpoint, Embeddings] = {}
    for name, reader in readers.items():
        own = {reader.at(point.layer_pooling): point for point in points if point.model == name}
        if not own:
            continue
        parts: dict[Hookpoint, list[Embeddings]] = {point: [] for point in own.values()}
        count = 0
        for chunk in read_states(reader, prompted_documents(reader, dataset), list(own), context=context):
            for key, point in own.items():
                parts[point].append(chunk.vectors[key])
            count += len(chunk.ids)
            if count >= MOST_DOCUMENTS:
                break
        found |= {point: np.concatenate(arrays) for point, arrays in parts.items()}
    return found
