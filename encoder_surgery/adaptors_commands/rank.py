"""The command `adaptors rank`."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from encoder_surgery.adaptors_commands.map_flags import Target
from encoder_surgery.adaptors_commands.training_flags import FittedDims
from encoder_surgery.shell import options as option
from encoder_surgery.shell.app import flag, friendly
from encoder_surgery.shell.completion import complete_datasets
from encoder_surgery.shell.datasets import are_several, check_failed, check_table, rank_each
from encoder_surgery.shell.idle import Idle, refuses
from encoder_surgery.shell.output import ResultFlags, command_line, say
from encoder_surgery.shell.progress import working
from encoder_surgery.shell.storage import StorageFlags

if TYPE_CHECKING:
    from adaptors.fitting.compare import FitPlan, FittedAdaptors
    from adaptors.fitting.data import FitTexts
    from adaptors.fitting.options import TrainOptions
    from adaptors.maps.models import MapModels
    from probe.data.sampling import SampleSize
    from probe.encoding.chunk_states import Progress
    from probe.experiments.options import RunOptions
    from probe.experiments.specs import ResolvedSpecs
    from probe.results.leaderboard import Leaderboard
    from probe.sources.several import LoadedDataset, LoadedDatasets

__all__ = ["rank"]

Kinds = Annotated[
    str | None,
    flag("Kinds of adaptors, comma-separated, as in `adaptors fit`; default: all, `map` only with --to."),
]
_MAP = "map"


def _none_is(what: str) -> Callable[[Mapping[str, Any]], bool]:
    """Return a check that none of the chosen kinds has a property; among all kinds, some have it."""

    def where(values: Mapping[str, Any]) -> bool:
        """Look the kinds up; unknown kinds are reported later."""
        from adaptors.fitting.kinds import KINDS

        named = values["kinds"].split(",") if values["kinds"] else list(KINDS)
        named = [name for name in named if name != _MAP]
        return all(name in KINDS and not getattr(KINDS[name], what) for name in named)

    return where


def _has_no_map(values: Mapping[str, Any]) -> bool:
    return bool(values["kinds"]) and _MAP not in values["kinds"].split(",")


def _is_only_map(values: Mapping[str, Any]) -> bool:
    return bool(values["kinds"] == _MAP)


def _is_own(values: Mapping[str, Any]) -> bool:
    """Return whether adaptors would be fitted on the ranked data set alone, as they are without the option."""
    ranked = values["dataset"] or ["docstrings"]
    return not are_several(ranked) and values["fit_on"] == ranked


@dataclass(frozen=True)
class FitFlags:
    """How adaptors are fitted and ranked."""

    panel: ClassVar[str] = "Data"

    labels: option.Labels = "none"
    fit_on: Annotated[
        list[str] | None,
        flag(
            "Fit once on the texts of this data set, instead of on those of each ranked one; repeatable.",
            "--fit-on",
            metavar="DATASET",
            autocompletion=complete_datasets,
        ),
    ] = None
    to: Target = None
    no_bias: option.NoBias = False
    steps: option.Steps = None
    metric: option.MetricNames = None
    sort: option.Sort = "mean"
    seed: option.Seed = 0
    similarity: option.Similarity = "own"
    drop_same_id: option.DropSameId = False

    def options(self, loading: option.EncodeFlags, store: option.StoreFlags, *, examples: bool) -> "RunOptions":
        """Return how to rank, without a progress bar."""
        from probe.experiments.options import RunOptions

        metric, *more = self.metric or ["ndcg@10"]
        return RunOptions(
            metric=metric,
            more_metrics=tuple(more),
            seed=self.seed,
            command=command_line(),
            store=store.open(),
            examples=examples,
            load=loading.load_options(),
            similarity=self.similarity,
            drop_same_id=self.drop_same_id,
        )

    def training(self, progress: "Progress") -> "TrainOptions":
        """Return how adaptors are fitted."""
        from adaptors.fitting.options import TrainOptions

        return TrainOptions(steps=self.steps, seed=self.seed, progress=progress, bias=not self.no_bias)


@friendly
@refuses(
    Idle(("steps",), _none_is("is_trained"), "with {kinds}, of which none is trained"),
    Idle(("no_bias",), _none_is("drops_bias"), "with {kinds}, none of which has a bias that can be left out"),
    Idle(("labels",), _none_is("uses_labels"), "with {kinds}, of which none uses relevance labels"),
    Idle(("dims",), _is_only_map, "with maps alone, whose dimensions are those of the other model"),
    Idle(("to",), _has_no_map, "with {kinds}, of which none is a map"),
    Idle(("fit_on",), _is_own, "with the data set that is ranked, on which adaptors are fitted anyway"),
)
def rank(
    specs: option.Specs = ["minilm"],  # noqa: B006
    kinds: Kinds = None,
    dims: FittedDims = None,
    *,
    data: option.DataFlags,
    ranking: FitFlags,
    loading: option.EncodeFlags,
    store: option.StoreFlags,
    output: ResultFlags,
    storage: StorageFlags,
) -> None:
    """Rank kinds of adaptors on encoders at several dimensions, against PCA and the frozen encoder."""
    output.check("leaderboard", several=data.is_several)
    lengths, sizes = option.parse_dims(dims) if dims else (), storage.plan()
    from adaptors.encoders.specs import resolve_specs
    from adaptors.fitting.compare import FitPlan, rank_adaptors
    from adaptors.fitting.data import select_fit_data
    from adaptors.fitting.kinds import check_kinds
    from adaptors.maps.models import resolve_target

    named = _kinds(kinds, ranking.to)
    chosen = check_kinds([name for name in named if name != _MAP or not ranking.to])
    options = replace(ranking.options(loading, store, examples=output.writes_json), storage=sizes)
    say(f"loading {', '.join(data.names)} and the models of {', '.join([*specs, *filter(None, [ranking.to])])}")
    with working() as report:
        options = replace(options, progress=report)
        loaded = data.load()
        check_table(loaded, output, ranking.sort)
        resolved = resolve_specs(specs, options.load, options.store, similarity=ranking.similarity)
        models = resolve_target(resolved, ranking.to, options) if ranking.to else None
        plan = FitPlan(chosen, lengths, ranking.training(report)) if named != [_MAP] else None
        fitted = None
        if ranking.fit_on:
            sources = _load_sources(ranking.fit_on, loaded, labels=ranking.labels, size=data.size)
            fitted = _fit(resolved, plan, models, texts=sources, options=options)

        def rank_on(one: "LoadedDataset", options: "RunOptions") -> "Leaderboard":
            """Fit the adaptors on one data set, unless they are fitted, and rank them."""
            own = fitted
            if own is None:
                texts = select_fit_data(one.request.name, one.dataset, ranking.labels)
                own = _fit(resolved, plan, models, texts=[texts], options=options)
            return rank_adaptors(models.alone if models else resolved, own, one.dataset, options=options)

        board = rank_each(loaded, rank_on, options, sort=ranking.sort)
    output.emit(board)
    check_failed(board)


def _kinds(given: str | None, target: str | None) -> list[str]:
    """Return the kinds of a call; by default all usual ones, and maps if there is an encoder to map to."""
    from adaptors.fitting.kinds import KINDS

    if given is None:
        return [*([_MAP] if target else []), *(name for name, kind in KINDS.items() if kind.is_default)]
    return given.split(",")


def _fit(
    resolved: "ResolvedSpecs",
    plan: "FitPlan | None",
    models: "MapModels | None",
    *,
    texts: "Sequence[FitTexts]",
    options: "RunOptions",
) -> "FittedAdaptors":
    """Fit the adaptors of a plan, and the maps."""
    from adaptors.fitting.compare import FittedAdaptors, fit_adaptors
    from adaptors.maps.fit import add_maps

    fitted = FittedAdaptors((), (), tuple(texts))
    if plan is not None:
        plan = replace(plan, training=replace(plan.training, progress=options.progress))
        fitted = fit_adaptors(resolved, plan, texts, options=options)
    return fitted if models is None else add_maps(fitted, models, options=options)


def _load_sources(
    names: list[str], ranked: "LoadedDatasets", *, labels: str, size: "SampleSize | None"
) -> "list[FitTexts]":
    """Return the texts that adaptors are fitted to for all ranked data sets.

    Of a data set that is ranked as well, the split that is scored there is not used.
    """
    from adaptors.fitting.data import select_fit_data
    from probe.sources.loading import load_dataset
    from probe.sources.several import request_datasets

    known = {os.path.realpath(one.request.name): one.dataset for one in ranked.found}
    requests = request_datasets(names)
    corpora = [known.get(os.path.realpath(one.name)) or load_dataset(one.name, None, size) for one in requests]
    return [select_fit_data(one.name, corpus, labels) for one, corpus in zip(requests, corpora, strict=True)]
