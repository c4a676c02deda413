"""Fit a map between two models, score it beside both, and save it with the model that is mapped."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from adaptors.encoders.adapted import AdaptedEncoder
from adaptors.encoders.specs import resolve_specs
from adaptors.encoders.target import describe_target
from adaptors.fitting.compare import rank_adaptors
from adaptors.fitting.data import FitSource, FitTexts
from adaptors.fitting.fit import FittedModel, check_single, select_texts
from adaptors.fitting.fitted import FittedAdaptors
from adaptors.fitting.kinds import MAP
from adaptors.maps.choice import MapChoice, choose_map
from adaptors.maps.data import MapData, gather_map_data
from adaptors.maps.models import MapModels, resolve_target
from adaptors.maps.options import MapOptions
from adaptors.quantizing.calibration import calibration_rows
from adaptors.quantizing.plan import check_any, compress
from adaptors.quantizing.ranking import can_compress
from probe.data.dataset import Dataset
from probe.encoding.chunk_states import Progress
from probe.errors import check_type
from probe.evaluation.composite import Asymmetric
from probe.evaluation.compressed import Compressed
from probe.evaluation.fusion import Fusion
from probe.evaluation.records import AdaptorFacts, MapEnds
from probe.experiments.given import Rankable, as_specs
from probe.experiments.matrix import rank_datasets
from probe.experiments.options import RunOptions
from probe.metrics.vectors import Embeddings, unit
from probe.results.leaderboard import Leaderboard
from probe.sources.several import as_datasets
from surgery.fusing.model import FusedModel

__all__ = ["FittedMap", "MappedEncoder", "add_maps", "fit_map", "fit_maps"]


@dataclass(frozen=True)
class MappedEncoder:
    """An encoder with a map to another one's space.

    Attributes:
        encoder: The encoder with its map.
        pair: The search: one side by this encoder, the other by the one whose space it is.
        choice: How the map was chosen.
    """

    encoder: AdaptedEncoder
    pair: Asymmetric
    choice: MapChoice


@dataclass(frozen=True, repr=False)
class FittedMap(FittedModel):
    """An encoder with a map to another one's space, with its models in memory.

    Its board has the search with both, and each of them alone.

    Attributes:
        choice: How the map was chosen.
    """

    choice: MapChoice = field(kw_only=True)


def fit_map(
    source: "Rankable" = "minilm",
    target: "Rankable" = "mpnet",
    data: FitSource | Sequence[FitSource] = "docstrings",
    *,
    split: str | None = None,
    mapping: MapOptions | None = None,
    options: RunOptions | None = None,
) -> FittedMap:
    """Map one encoder's queries, or documents, to another one's space, without labels.

    A cheap model can then embed the queries for an index of an expensive one, or a new model those for an old index.

    Args:
        source: The encoder that is mapped: one hookpoint, or a fusion; a spec, or a model in memory.
        target: The encoder in whose space it is mapped; a saved folder, too.
        data: The data set to fit to, or its name or path; or texts selected from one. With several, one map is fitted
            to the texts of all, and scored on each.
        split: The split to score; default: `test`.
        mapping: Which side is mapped, and the rank of the map.
        options: How to run.

    Returns:
        The encoder with its map.

    Raises:
        CallError: A model, the data or an option is wrong.
    """
    options, mapping = RunOptions.of(options), mapping or MapOptions()
    check_type("mapping", mapping, MapOptions, expected="MapOptions, such as MapOptions(side='documents')")
    texts = select_texts(data, split, "none")
    resolved = resolve_specs(as_specs([source]), options.load, options.store, similarity=options.similarity)
    check_single(resolved)
    models = resolve_target(resolved, target, options)
    (mapped,) = fit_maps(models, texts, mapping, options=options)
    fitted = FittedAdaptors((), mapped.choice.notes(str(mapped.pair)), texts, maps=(mapped.pair,))
    datasets = as_datasets([one.corpus for one in texts])

    def rank_on(name: str, dataset: Dataset) -> Leaderboard:
        """Rank on one data set."""
        here = options.named(name) if len(datasets) > 1 else options
        return rank_adaptors(models.alone, fitted, dataset, options=here)

    board = rank_datasets(datasets, rank_on, seed=options.seed)
    readers = [models.readers[name] for name in dict.fromkeys(point.model for point in mapped.encoder.points)]
    return FittedMap(FusedModel(tuple(readers), mapped.encoder.fusion), mapped.encoder, board, choice=mapped.choice)


def fit_maps(
    models: MapModels, texts: Sequence[FitTexts], mapping: MapOptions, *, options: RunOptions
) -> list[MappedEncoder]:
    """Fit a map for each encoder, jointly to the texts of one or several data sets.

    Args:
        models: The encoders that are mapped, and the one in whose space they are.
        texts: Texts to fit to; relevance labels are not read.
        mapping: Which side is mapped, and the rank of the maps.
        options: Store and progress.

    Returns:
        One value per encoder that is mapped.

    Raises:
        CallError: There are too few texts, or the rank is too large.
    """
    data = gather_map_data(models, texts, seed=mapping.seed, options=options)
    return _fit_each(models, data, mapping, progress=options.progress)


def _fit_each(
    models: MapModels, data: Sequence[MapData], mapping: MapOptions, *, progress: Progress
) -> list[MappedEncoder]:
    return [
        _fit(source, models, one, mapping=mapping, progress=progress)
        for source, one in zip(models.sources, data, strict=True)
    ]


def _fit(source: Fusion, models: MapModels, data: MapData, *, mapping: MapOptions, progress: Progress) -> MappedEncoder:
    began = time.perf_counter()
    choice = choose_map(data, mapping, progress)
    module, target = choice.map.as_module(), models.target
    encoder = AdaptedEncoder(
        source,
        module,
        module.dim,
        AdaptorFacts(
            MAP,
            "none",
            data.fitted_on,
            time.perf_counter() - began,
            module.count_parameters(),
            MapEnds(str(source), str(target)),
        ),
        maps_to=describe_target(mapping.side, target, models.readers),
    )
    pair = Asymmetric(encoder, target) if mapping.side == "queries" else Asymmetric(target, encoder)
    return MappedEncoder(encoder, pair, choice)


def add_maps(fitted: FittedAdaptors, models: MapModels, *, options: RunOptions) -> FittedAdaptors:
    """Fit a map for each encoder to the texts that adaptors of other kinds were fitted to, with all sizes of documents.

    Args:
        fitted: The adaptors, perhaps none.
        models: The encoders that are mapped, and the one in whose space they are.
        options: Store, seed, progress and the sizes of stored vectors.

    Returns:
        The adaptors with the maps.

    Raises:
        CallError: There are too few texts.
    """
    mapping = MapOptions(seed=options.seed)
    data = gather_map_data(models, fitted.texts, seed=mapping.seed, options=options)
    maps = _fit_each(models, data, mapping, progress=options.progress)
    notes = [note for one in maps for note in one.choice.notes(str(one.pair))]
    stored = _compress(maps, models, data[0], options=options)
    check_any((*fitted.compressed, *stored), options.storage)
    return replace(
        fitted,
        notes=(*notes, *fitted.notes),
        maps=tuple(one.pair for one in maps) if options.storage.wants_float else (),
        compressed=(*fitted.compressed, *stored),
    )


def _compress(
    maps: Sequence[MappedEncoder], models: MapModels, data: MapData, *, options: RunOptions
) -> list[Compressed]:
    """Return searches by mapped queries in fewer bytes: all maps have the other encoder's documents in common."""
    scaled = can_compress(models.target, models.readers, options)
    rows = calibration_rows(len(data.documents)).tolist()
    found: Embeddings = data.documents.pick(rows).target.float().numpy()
    vectors, plan = unit(found) if scaled else found, options.storage
    return [small for one in maps for small in compress(one.pair, vectors, plan, seen=data.fitted_on, scaled=scaled)]
