"""Ranking of the layers of a model, or of both towers of a two-tower model."""

from collections.abc import Callable, Sequence
from pathlib import Path

from probe.data.dataset import Dataset
from probe.encoding.hookpoints import for_similarity, with_full_model
from probe.encoding.opening import Openable, as_reader
from probe.encoding.reader import LayerReader
from probe.errors import CallError
from probe.evaluation.composite import Composite
from probe.experiments.options import RunOptions
from probe.experiments.ranking import Candidate, rank_candidates
from probe.experiments.two_towers import open_towers, rank_towers
from probe.layers.hookpoint import Hookpoint, Layers
from probe.results.leaderboard import Leaderboard
from probe.sources.captioned_images import find_image_folder
from probe.sources.loading import as_dataset

__all__ = ["rank_layers"]


def rank_layers(
    model: Openable,
    dataset: str | Path | Dataset,
    layers: Layers = "all",
    *,
    poolings: str | Sequence[str] = ("own",),
    options: RunOptions | None = None,
    extra: Callable[[LayerReader, Sequence[Hookpoint]], Sequence[Composite]] = lambda reader, points: (),
) -> Leaderboard:
    """Rank the layers of one model, with the full model as the baseline row.

    Args:
        model: An alias, a hub id or a folder; a loaded model, its reader, or a `SentenceTransformer`. For data sets
            with images, a two-tower model or one of its towers.
        dataset: A data set, or its name or path.
        layers: `all`, `0-6` or `1,3,5`, or numbers.
        poolings: Poolings to read at every layer; `own` is the model's own, `tokens` uses late interaction.
        options: Run options.
        extra: Returns further encoders to rank, given the reader and the hookpoints.

    Returns:
        The leaderboard.

    Raises:
        ProbeError: If an argument is invalid, or the model or the data is unavailable; before any encoding.
    """
    options = RunOptions.of(options)
    if dataset.images if isinstance(dataset, Dataset) else find_image_folder(str(dataset)):
        images = as_dataset(dataset)
        towers = open_towers(model, images, options.load, store=options.store)
        return rank_towers(towers, images, layers, poolings=poolings, options=options)
    reader = for_similarity(as_reader(model, options.load, options.store), options.similarity)
    if reader.model.depth == 0:
        name = reader.model.source.name
        raise CallError(f"'{name}' is an encoder without layers: compare it with others in probe rank")
    points, full = with_full_model(reader.model, layers, poolings, tokens=True)
    data = as_dataset(dataset)
    fusions = extra(reader, points)
    return rank_candidates([Candidate(reader, points)], data, str(full), options=options, fusions=fusions)
