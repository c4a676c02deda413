"""Turn hookpoints of towers into pairs of towers, where images are searched or search."""

from dataclasses import replace

from adaptors.resolve import ResolvedSpecs
from probe.composite import Asymmetric
from probe.dataset import Dataset
from probe.errors import CallError
from probe.options import LoadOptions
from probe.ranking import Candidate
from probe.store import Store
from probe.tower_pair import other_tower, pair_up
from probe.tower_ranking import open_other

__all__ = ["pair_towers"]


def pair_towers(
    resolved: ResolvedSpecs, dataset: Dataset, options: LoadOptions | None = None, store: Store | None = None
) -> ResolvedSpecs:
    """Compare every hookpoint of a tower with the whole of the other tower.

    Args:
        resolved: What the specs name.
        dataset: What is to be read; where it has no images, nothing changes.
        options: How to load the other towers.
        store: Where facts of models are kept, if anywhere.

    Returns:
        The same encoders, each as a pair.

    Raises:
        CallError: A spec names a model that reads texts only, or a fusion.
        ModelError: A tower cannot be loaded.
    """
    if not dataset.images:
        return resolved
    joined = [fusion for fusion in resolved.fusions if not isinstance(fusion, Asymmetric)]
    if joined:
        raise CallError(
            f"'{joined[0]}' is no hookpoint of a tower, and '{dataset.name}' holds images: name one, as clip@image.5"
        )
    readers = {candidate.reader.model.source.name: candidate.reader for candidate in resolved.candidates}
    for name, reader in list(readers.items()):
        if other_tower(name) not in readers:
            readers[other_tower(name)] = open_other(reader, options, store)
    models = {name: reader.model for name, reader in readers.items()}
    points = [point for candidate in resolved.candidates for point in candidate.hookpoints]
    pairs = [pair_up(point, models, dataset) for point in points]
    return replace(
        resolved,
        candidates=tuple(Candidate(reader, ()) for reader in readers.values()),
        fusions=(*pairs, *resolved.fusions),
    )
