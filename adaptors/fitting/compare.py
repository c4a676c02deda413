"""Compare adaptors of all kinds, hookpoints and dimensions in one table beside the frozen encoder."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch

from adaptors.encoders.adapted import AdaptedEncoder
from adaptors.encoders.specs import resolve_specs
from adaptors.fitting.data import (
    FitSource,
    FitTexts,
    as_fit_texts,
    as_several,
    as_several_texts,
    several_texts,
)
from adaptors.fitting.fitted import FittedAdaptors, compress_fitted
from adaptors.fitting.kinds import KINDS, LENS, RECOMMENDED, check_kinds
from adaptors.fitting.options import TrainOptions, usual_dims
from adaptors.fitting.states import FitData, gather_states
from adaptors.quantizing.plan import check_any
from adaptors.quantizing.ranking import can_compress
from probe.data.dataset import Dataset
from probe.errors import CallError, ProbeError, TrainingError, check_number, check_type
from probe.evaluation.compressed import Compressed
from probe.evaluation.fusion import Fusion
from probe.evaluation.records import AdaptorFacts
from probe.evaluation.storage import StoragePlan
from probe.experiments.given import GivenSpecs, as_specs
from probe.experiments.matrix import rank_datasets
from probe.experiments.options import RunOptions
from probe.experiments.ranking import rank_candidates
from probe.experiments.specs import ResolvedSpecs
from probe.results.leaderboard import Leaderboard
from probe.results.matrix import MEAN
from probe.sources.loading import as_dataset
from probe.sources.several import as_datasets

__all__ = ["FitPlan", "FittedAdaptors", "compare_adaptors", "fit_adaptors", "fit_kind", "rank_adaptors"]


@dataclass(frozen=True)
class FitPlan:
    """Adaptors to fit.

    Attributes:
        kinds: Kinds of adaptors.
        dims: Dimensions; one adaptor is fitted for the largest, and its prefixes are used for the others. Default:
            the full, half and quarter width of every encoder.
        training: How networks are trained.
        only_labelled: Fit kinds that use relevance labels only with labels, not also without.
    """

    kinds: tuple[str, ...]
    dims: tuple[int, ...] = ()
    training: TrainOptions = field(default_factory=TrainOptions)
    only_labelled: bool = False

    def __post_init__(self) -> None:
        """Check the kinds and the dimensions."""
        check_kinds(self.kinds)
        if not self.kinds:
            raise CallError("nothing to fit: expected at least one kind of adaptor")
        for dim in self.dims:
            check_number("dimensions", dim, 1)


def compare_adaptors(
    specs: "GivenSpecs | str | ResolvedSpecs",
    plan: FitPlan,
    texts: "FitSource | Sequence[FitSource] | Mapping[str, FitSource]",
    *,
    fit_on: "FitSource | Sequence[FitSource] | None" = None,
    options: RunOptions | None = None,
    sort: str = MEAN,
) -> Leaderboard:
    """Fit every adaptor and rank them with their frozen encoders.

    On each of several data sets the adaptors are fitted to its own texts, unless `fit_on` says otherwise: then they are
    fitted once.

    Args:
        specs: The encoders to adapt, as in `rank`, or resolved.
        plan: Kinds and dimensions.
        texts: Texts to fit to; their corpus is searched with the queries of its own split. A data set, its name or its
            path means its texts without relevance labels. Several, perhaps with their names in the table, give a
            `DatasetMatrix`.
        fit_on: Texts of one or several data sets to fit to instead: the ranked data sets are not read for the fit.
        options: How to rank.
        sort: Order of the rows over several data sets: `mean`, or the name of one of them.

    Returns:
        The leaderboard.

    Raises:
        CallError: A spec is wrong, or no dimension is valid for any encoder.
    """
    options = RunOptions.of(options)
    check_type("plan", plan, FitPlan, expected="a FitPlan, such as FitPlan(kinds=('pca',), dims=(128,))")
    resolved = specs if isinstance(specs, ResolvedSpecs) else _resolve(specs, options)
    ranked = _name_texts(texts, are_fitted=fit_on is None)
    shared = None if fit_on is None else fit_adaptors(resolved, plan, as_several_texts(fit_on), options=options)

    def rank_on(name: str, dataset: Dataset) -> Leaderboard:
        """Rank on one data set."""
        here = options.named(name) if len(ranked) > 1 else options
        fitted = shared or fit_adaptors(resolved, plan, ranked[name], options=here)
        return rank_adaptors(resolved, fitted, dataset, options=here)

    return rank_datasets({name: one.corpus for name, one in ranked.items()}, rank_on, sort=sort, seed=options.seed)


def _name_texts(
    texts: "FitSource | Sequence[FitSource] | Mapping[str, FitSource]", *, are_fitted: bool
) -> dict[str, FitTexts]:
    """Return texts by the names of their data sets in a table; only those that are fitted to need training queries."""
    several = list(texts.values()) if isinstance(texts, Mapping) else as_several(texts)
    found = [
        one if isinstance(one, FitTexts) else as_fit_texts(one) if are_fitted else FitTexts(as_dataset(one))
        for one in several
    ]
    corpora = [one.corpus for one in found]
    names = as_datasets(dict(zip(texts, corpora, strict=True)) if isinstance(texts, Mapping) else corpora)
    return dict(zip(names, found, strict=True))


def rank_adaptors(
    resolved: ResolvedSpecs, fitted: FittedAdaptors, dataset: Dataset, *, options: RunOptions
) -> Leaderboard:
    """Rank fitted adaptors with their frozen encoders on a data set.

    The first note says what they were fitted on, unless it is this data set alone.

    Args:
        resolved: The encoders that were adapted.
        fitted: Their adaptors.
        dataset: The data set that is searched.
        options: How to rank.

    Returns:
        The leaderboard; the rows of adaptors whose fit has read the data set's texts are transductive.

    Raises:
        CallError: The queries of this split of the data set were used in the fit.
    """
    encoders, notes = [*resolved.fusions, *fitted.ranked], fitted.notes_on(dataset)
    board = rank_candidates(resolved.candidates, dataset, str(resolved.baseline), options=options, fusions=encoders)
    return replace(board, settings={**board.settings, "recommended": RECOMMENDED, "adaptors": notes})


def _resolve(specs: "GivenSpecs | str", options: RunOptions) -> ResolvedSpecs:
    given = as_specs([specs] if isinstance(specs, str) else specs)
    return resolve_specs(given, options.load, options.store, similarity=options.similarity)


def fit_adaptors(
    resolved: ResolvedSpecs, plan: FitPlan, texts: FitTexts | Sequence[FitTexts], *, options: RunOptions
) -> FittedAdaptors:
    """Fit every adaptor of a plan, jointly to the texts of one or several data sets.

    A kind that cannot be fitted is skipped with a note.

    Args:
        resolved: The encoders to adapt.
        plan: Kinds and dimensions.
        texts: Texts to fit to.
        options: Store, progress and the sizes of stored vectors.

    Returns:
        The adaptors.

    Raises:
        CallError: Nothing could be fitted.
        TrainingError: Nothing could be fitted because a training failed.
    """
    readers = {candidate.reader.model.source.name: candidate.reader for candidate in resolved.candidates}
    alone = [Fusion((point,)) for candidate in resolved.candidates for point in candidate.hookpoints]
    fusions = [*alone, *(fusion for fusion in resolved.fusions if isinstance(fusion, Fusion))]
    gathered = gather_states(readers, fusions, texts, store=options.store, progress=options.progress)
    fits = _Fits(plan, options.storage)
    for number, fusion in enumerate(fusions):
        # Looked up in the call: the data of one fusion at a time is in memory.
        fits.add(fusion, gathered[number], are_cosines=can_compress(fusion, readers, options))
    if not fits.adapted:
        raise fits.failed(f"no adaptor could be fitted; {'; '.join(fits.all_notes())}")
    check_any(fits.compressed, options.storage)
    return FittedAdaptors(
        tuple(fits.adapted),
        tuple(fits.all_notes()),
        several_texts(texts),
        tuple(fits.compressed),
        ranks_float=options.storage.wants_float,
    )


@dataclass
class _Fits:
    """What has been fitted so far.

    Attributes:
        plan: What is to be fitted.
        storage: The sizes of stored vectors.
        adapted: The adapted encoders.
        compressed: Frozen and adapted encoders with their documents in fewer bytes.
        shortages: Sentences on relevance labels that cannot be used.
        notes: Notes of the adaptors.
        skipped: Names of fusions by the reason why something was not fitted to them.
        failed: The error if nothing could be fitted.
    """

    plan: FitPlan
    storage: StoragePlan
    adapted: list[AdaptedEncoder] = field(default_factory=list)
    compressed: list[Compressed] = field(default_factory=list)
    shortages: dict[str, None] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    skipped: dict[str, list[str]] = field(default_factory=dict)
    failed: type[ProbeError] = CallError

    def add(self, fusion: Fusion, data: FitData, *, are_cosines: bool) -> None:
        """Fit all kinds to a fusion, whose own vectors are compressed only if they are compared by the cosine."""
        self.shortages |= dict.fromkeys(filter(None, [data.shortage]))
        if are_cosines:
            self.compressed += compress_fitted([fusion], data, self.storage)
        elif self.storage.compresses:
            self._skip("bits of its own vectors, which are not compared by cosine", fusion)
        for kind in self.plan.kinds:
            for seen in _with_and_without_labels(kind, data, self.plan.only_labelled):
                try:
                    fitted = fit_kind(kind, fusion, seen, plan=self.plan)
                except (CallError, TrainingError) as error:
                    self._skip(f"{kind}: {error}", fusion)
                    self.failed = TrainingError if isinstance(error, TrainingError) else self.failed
                    continue
                self.adapted += fitted
                self.compressed += compress_fitted(fitted, data, self.storage)
                self.notes += [f"{kind} on {fusion}, labels {seen.labels}: {note}" for note in fitted[0].notes]

    def all_notes(self) -> list[str]:
        """Return the notes for the table footer."""
        skipped = [f"skipped: {reason} ({', '.join(names)})" for reason, names in self.skipped.items()]
        return [*self.shortages, *self.notes, *skipped]

    def _skip(self, reason: str, fusion: Fusion) -> None:
        self.skipped.setdefault(reason, []).append(str(fusion))


def fit_kind(kind: str, fusion: Fusion, data: FitData, *, plan: FitPlan) -> list[AdaptedEncoder]:
    """Fit one kind of adaptor on one fusion.

    Args:
        kind: One of `KINDS`.
        fusion: The hookpoints of the adaptor.
        data: Their states, and the relevance labels it may use.
        plan: Dimensions (too large ones are skipped) and training options.

    Returns:
        One encoder per dimension, all with the same adaptor.

    Raises:
        CallError: The kind does not apply to the fusion or to any of the dimensions.
        TrainingError: The training failed.
    """
    check_type("fusion", fusion, Fusion)
    check_type("data", data, FitData, expected="the result of gather_states (adaptors.fit calls it itself)")
    dims = _fitting(kind, fusion, data, dims=plan.dims)
    began = time.perf_counter()
    fitted = KINDS[kind].fit(data, dims, plan.training)
    seconds = time.perf_counter() - began
    seen = () if kind == "truncate" else data.fitted_on
    facts = AdaptorFacts(kind, data.labels, seen, seconds, fitted.module.count_parameters())
    return [AdaptedEncoder(fusion, fitted.module, dim, facts, None, fitted.epochs, fitted.notes) for dim in dims]


def _fitting(kind: str, fusion: Fusion, data: FitData, *, dims: Sequence[int]) -> list[int]:
    if kind == LENS and data.is_final:
        raise CallError("nothing to map: the hookpoint is the final embedding")
    if KINDS[kind].reads_blocks and len(fusion.points) == 1:
        raise CallError("it weights several hookpoints, found one: give several, joined by +")
    most = data.targets.shape[1] if KINDS[kind].maps_to_final else data.documents.shape[1]
    fitting = [dim for dim in dims or usual_dims(most) if dim <= most]
    if not fitting:
        raise CallError(f"it has at most {most} dimensions: lower --dims")
    return fitting


def _with_and_without_labels(kind: str, data: FitData, only_labelled: bool) -> list[FitData]:
    blind = replace(data, pairs=torch.empty(0, 3, dtype=torch.long), labels="none")
    if data.labels == "none" or not KINDS[kind].uses_labels:
        return [blind]
    return [data] if only_labelled else [blind, data]
