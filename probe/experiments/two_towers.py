"""Ranking of the layers of two towers by retrieval of texts for images, or images for texts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from probe.data.dataset import Dataset
from probe.encoding.hookpoints import select_hookpoints
from probe.encoding.opening import Openable, as_reader, open_reader
from probe.encoding.reader import LayerReader
from probe.errors import CallError
from probe.evaluation.composite import Asymmetric
from probe.evaluation.tower_pair import other_tower, pair_up, whole_tower
from probe.experiments.given import ResolvedSpecs
from probe.experiments.options import RunOptions
from probe.experiments.ranking import Candidate, rank_candidates
from probe.layers.hookpoint import TOWERS, Layers, split_tower
from probe.models.info import find_towers
from probe.models.options import LoadOptions
from probe.models.sources import find_source
from probe.results.leaderboard import Leaderboard
from probe.store.store import Store

__all__ = ["Towers", "open_other", "open_towers", "pair_towers", "rank_towers"]


@dataclass(frozen=True)
class Towers:
    """Two towers with a common embedding space.

    Attributes:
        swept: Readers of the towers whose layers are ranked.
        others: Readers of the towers they are compared with.
    """

    swept: tuple[LayerReader, ...]
    others: tuple[LayerReader, ...] = ()


def open_towers(
    model: Openable, dataset: Dataset, options: LoadOptions | None = None, *, store: Store | None = None
) -> Towers:
    """Open both towers of a model.

    Args:
        model: Alias, hub id or folder; `clip@image` or a reader of it to rank only one tower.
        dataset: The data set to encode.
        options: Load options; the maximum length applies to texts.
        store: Store of model facts and states, if any.

    Returns:
        The readers; if the model's name has no tower, the image tower is first.

    Raises:
        CallError: If the model is not a two-tower model.
        ModelError: If it cannot be loaded.
    """
    if not isinstance(model, str | Path) or split_tower(str(model))[1] is not None:
        reader = _open(str(model), options, store) if isinstance(model, str | Path) else as_reader(model)
        return Towers((reader,), (open_other(reader, options, store),))
    name = str(model)
    if not find_towers(find_source(name, options.revision if options else None).folder):
        raise CallError(
            f"'{dataset.name}' has images, but '{name}' supports only text: use a two-tower model, such as clip"
        )
    return Towers(tuple(_open(f"{name}@{tower}", options, store) for tower in TOWERS))


def open_other(reader: LayerReader, options: LoadOptions | None = None, store: Store | None = None) -> LayerReader:
    """Open the other tower of a reader's model.

    Raises:
        CallError: If the reader does not read a tower.
    """
    return _open(other_tower(reader.model.source.typed), options, store)


def _open(name: str, options: LoadOptions | None, store: Store | None) -> LayerReader:
    options = options or LoadOptions()
    return open_reader(name, replace(options, max_tokens=None) if split_tower(name)[1] == "image" else options, store)


def rank_towers(
    towers: Towers,
    dataset: Dataset,
    layers: Layers = "all",
    *,
    poolings: str | Sequence[str] = ("own",),
    options: RunOptions | None = None,
) -> Leaderboard:
    """Rank layers of towers, each compared with the full other tower; the baseline is the pair of full towers.

    Raises:
        CallError: If a layer or pooling is invalid.
    """
    readers = (*towers.swept, *towers.others)
    models = {reader.model.source.name: reader.model for reader in readers}
    whole = [whole_tower(reader.model) for reader in towers.swept]
    points = [p for reader in towers.swept for p in select_hookpoints(reader.model, layers, poolings)]
    pairs = [pair_up(point, models, dataset) for point in dict.fromkeys([*points, *whole])]
    return rank_candidates(
        [Candidate(reader, ()) for reader in readers], dataset, str(whole[0]), options=options, fusions=pairs
    )


def pair_towers(
    resolved: ResolvedSpecs, dataset: Dataset, options: LoadOptions | None = None, *, store: Store | None = None
) -> ResolvedSpecs:
    """Pair every hookpoint of a tower with the full other tower; without images, return the specs unchanged.

    Raises:
        CallError: If a model supports only text, or a spec is a fusion.
        ModelError: If a tower cannot be loaded.
    """
    if not dataset.images:
        return resolved
    if resolved.others:
        raise CallError(f"'{resolved.others[0].name}' supports only text, but '{dataset.name}' has images: remove it")
    joined = [fusion for fusion in resolved.fusions if not isinstance(fusion, Asymmetric)]
    if joined:
        raise CallError(
            f"'{joined[0]}' is not a hookpoint of a tower, but '{dataset.name}' has images: use clip@image.5 or similar"
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
