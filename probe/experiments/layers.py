"""Ranking of the layers of a model, or of both towers of a two-tower model."""

from collections.abc import Callable, Sequence
from pathlib import Path

from probe.data.dataset import Dataset
from probe.encoding.hookpoints import for_similarity, with_full_model
from probe.encoding.opening import Openable, as_reader
from probe.encoding.reader import LayerReader
from probe.errors import CallError
from probe.evaluation.composite import Composite
from probe.experiments.matrix import rank_datasets
from probe.experiments.options import RunOptions
from probe.experiments.ranking import Candidate, rank_candidates
from probe.experiments.two_towers import open_towers, rank_towers
from probe.layers.hookpoint import Hookpoint, Layers
from probe.results.leaderboard import Leaderboard
from probe.results.matrix import MEAN
from probe.sources.captioned_images import find_image_folder
from probe.sources.loading import as_dataset
from probe.sources.several import GivenDatasets, as_datasets, is_single

__all__ = ["Extra", "rank_layers"]

# Returns further encoders to rank, of the same or of other models, given the reader of the model and its hookpoints.
Extra = Callable[[LayerReader, Sequence[Hookpoint]], Sequence[Composite | Candidate]]


def rank_layers(
    model: Openable,
    dataset: GivenDatasets,
    layers: Layers = "all",
    *,
    poolings: str | Sequence[str] = ("own",),
    options: RunOptions | None = None,
    extra: Extra = lambda reader, points: (),
    sort: str = MEAN,
) -> Leaderboard:
    """Rank the layers of one model, with the full model as the baseline row.

    Args:
        model: An alias, a hub id or a folder; a loaded model, its reader, or a `SentenceTransformer`. For data sets
            with images, a two-tower model or one of its towers.
        dataset: A data set, or its name or path; or several, which give a `DatasetMatrix`.
        layers: `all`, `0-6` or `1,3,5`, or numbers.
        poolings: Poolings to read at every layer; `own` is the model's own, `tokens` uses late interaction.
        options: Run options.
        extra: Returns further encoders to rank, given the reader and the hookpoints; called for every data set.
        sort: Order of the rows over several data sets: `mean`, or the name of one of them.

    Returns:
        The leaderboard.

    Raises:
        ProbeError: If an argument is invalid, or the model or the data is unavailable; before any encoding.
    """
    options = RunOptions.of(options)
    if is_single(dataset):
        return _rank_on(model, dataset, layers, poolings=poolings, options=options, extra=extra)
    datasets = as_datasets(dataset)
    has_images = any(data.images for data in datasets.values())
    opened = model if has_images else as_reader(model, options.load, options.store)

    def rank_on(name: str, data: Dataset) -> Leaderboard:
        """Rank on one data set, with the model opened once for all."""
        return _rank_on(opened, data, layers, poolings=poolings, options=options.named(name), extra=extra)

    return rank_datasets(datasets, rank_on, sort=sort, seed=options.seed)


def _rank_on(
    model: Openable,
    dataset: str | Path | Dataset,
    layers: Layers,
    *,
    poolings: str | Sequence[str],
    options: RunOptions,
    extra: Extra,
) -> Leaderboard:
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
    further = extra(reader, points)
    others = [one for one in further if isinstance(one, Candidate)]
    fusions = [one for one in further if not isinstance(one, Candidate)]
    return rank_candidates([Candidate(reader, points), *others], data, str(full), options=options, fusions=fusions)
