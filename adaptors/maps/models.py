"""The models that a map connects: one or several encoders that are mapped, and the one in whose space they are."""

from dataclasses import dataclass, replace

from adaptors.encoders.adapted import AdaptedEncoder
from adaptors.encoders.specs import resolve_specs
from probe.encoding.reader import LayerReader
from probe.errors import CallError
from probe.evaluation.composite import Composite, SimilarityChoice
from probe.evaluation.fusion import Fusion
from probe.experiments.given import Rankable, ResolvedSpecs, as_specs, with_readers
from probe.experiments.options import RunOptions
from probe.experiments.ranking import Candidate
from probe.metrics.similarity import COSINE, DOT

__all__ = ["MapModels", "resolve_target"]


@dataclass(frozen=True)
class MapModels:
    """Encoders that are mapped, and the encoder in whose space they are.

    Attributes:
        sources: The encoders that are mapped.
        target: The encoder in whose space they are.
        readers: Readers by the model names of all hookpoints.
        alone: All of them as they are, for ranking.
    """

    sources: tuple[Fusion, ...]
    target: Fusion | AdaptedEncoder
    readers: dict[str, LayerReader]
    alone: ResolvedSpecs


def resolve_target(sources: ResolvedSpecs, target: Rankable, options: RunOptions) -> MapModels:
    """Open the encoder in whose space others are mapped.

    Args:
        sources: The encoders that are mapped; those with an adaptor are left out.
        target: A hookpoint, a fusion or a saved folder, as a spec, or a model in memory.
        options: How to open it, and the similarity function of the ranking.

    Returns:
        The models.

    Raises:
        CallError: It is not a single text encoder, its vectors are not compared by cosine or dot product, or it is the
            only encoder that could be mapped.
    """
    resolved = resolve_specs(as_specs([target]), options.load, options.store, similarity=options.similarity)
    encoder = _single(resolved)
    readers = with_readers({}, [one.reader for one in (*sources.candidates, *resolved.candidates)])
    similarity = SimilarityChoice(options.similarity, {name: one.model.similarity for name, one in readers.items()})
    if (measure := similarity.of(encoder)) not in (COSINE, DOT):
        raise CallError(f"'{encoder}' compares by {measure}: a map needs one that compares by cosine or dot product")
    given = [Fusion((point,)) for candidate in sources.candidates for point in candidate.hookpoints]
    given += [fusion for fusion in sources.fusions if isinstance(fusion, Fusion)]
    mapped = tuple(fusion for fusion in given if fusion != encoder)
    if not mapped:
        raise CallError(f"nothing to map: expected another encoder than '{encoder}', which it would be mapped to")
    return MapModels(mapped, encoder, readers, _join(sources, resolved, readers))


def _single(resolved: ResolvedSpecs) -> Fusion | AdaptedEncoder:
    encoder: Composite | object = resolved.baseline
    count = sum(len(candidate.hookpoints) for candidate in resolved.candidates) + len(resolved.fusions)
    if count != 1 or not isinstance(encoder, Fusion | AdaptedEncoder):
        raise CallError(
            f"'{encoder}' is not a single encoder to map to: expected a hookpoint, a fusion or a saved folder"
        )
    if any(candidate.reader.model.tower for candidate in resolved.candidates):
        raise CallError(f"'{encoder}' is one tower of two: expected a text encoder to map to")
    return encoder


def _join(sources: ResolvedSpecs, target: ResolvedSpecs, readers: dict[str, LayerReader]) -> ResolvedSpecs:
    """Return the encoders of both; a model that both have is opened once."""
    several = (*sources.candidates, *target.candidates)
    points = {
        name: tuple(dict.fromkeys(point for one in several for point in one.hookpoints if point.model == name))
        for name in readers
    }
    candidates = tuple(Candidate(reader, points[name]) for name, reader in readers.items())
    fusions = tuple(dict.fromkeys((*sources.fusions, *target.fusions)))
    return replace(sources, candidates=candidates, fusions=fusions)
