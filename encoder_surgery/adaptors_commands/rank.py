"""The command `adaptors rank`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from encoder_surgery.adaptors_commands.training_flags import FittedDims
from encoder_surgery.shell import options as option
from encoder_surgery.shell.app import flag, friendly
from encoder_surgery.shell.datasets import check_failed, check_table, rank_each
from encoder_surgery.shell.idle import Idle, refuses
from encoder_surgery.shell.output import ResultFlags, command_line, say
from encoder_surgery.shell.progress import working

if TYPE_CHECKING:
    from probe.results.leaderboard import Leaderboard
    from probe.sources.several import LoadedDataset

__all__ = ["rank"]

Kinds = Annotated[str | None, flag("Kinds of adaptors, comma-separated, as in `adaptors fit`; default: all.")]


def _none_is(what: str) -> Callable[[Mapping[str, Any]], bool]:
    """Return a check that none of the chosen kinds has a property; among all kinds, some have it."""

    def where(values: Mapping[str, Any]) -> bool:
        """Look the kinds up; unknown kinds are reported later."""
        from adaptors.fitting.kinds import KINDS

        named = values["kinds"].split(",") if values["kinds"] else list(KINDS)
        return all(name in KINDS and not getattr(KINDS[name], what) for name in named)

    return where


@dataclass(frozen=True)
class FitFlags:
    """How adaptors are fitted and ranked."""

    panel: ClassVar[str] = "Data"

    labels: option.Labels = "none"
    steps: option.Steps = 300
    metric: option.MetricNames = None
    sort: option.Sort = "mean"
    seed: option.Seed = 0
    similarity: option.Similarity = "own"
    drop_same_id: option.DropSameId = False


@friendly
@refuses(
    Idle(("steps",), _none_is("is_trained"), "with {kinds}, of which none is trained"),
    Idle(("labels",), _none_is("uses_labels"), "with {kinds}, of which none uses relevance labels"),
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
) -> None:
    """Rank kinds of adaptors on encoders at several dimensions, against PCA and the frozen encoder."""
    output.check("leaderboard", several=data.are_several)
    lengths = option.parse_dims(dims) if dims else ()
    from adaptors.encoders.specs import resolve_specs
    from adaptors.fitting.compare import FitPlan, compare_adaptors
    from adaptors.fitting.data import select_fit_data
    from adaptors.fitting.kinds import KINDS, check_kinds
    from adaptors.fitting.options import TrainOptions
    from probe.experiments.options import RunOptions

    named = kinds.split(",") if kinds else [name for name, kind in KINDS.items() if kind.is_default]
    chosen = check_kinds(named)
    metric, *more = ranking.metric or ["ndcg@10"]
    options = RunOptions(
        metric=metric,
        more_metrics=tuple(more),
        seed=ranking.seed,
        command=command_line(),
        store=store.open(),
        examples=output.writes_json,
        similarity=ranking.similarity,
        drop_same_id=ranking.drop_same_id,
    )
    say(f"loading {', '.join(data.names)} and the models of {', '.join(specs)}")
    with working() as report:
        options = replace(options, progress=report)
        loaded = data.load()
        check_table(loaded, ranking.sort, output)
        resolved = resolve_specs(specs, loading.load_options(), options.store, similarity=ranking.similarity)

        def rank_on(one: "LoadedDataset", options: RunOptions) -> "Leaderboard":
            """Fit and rank the adaptors on one data set."""
            training = TrainOptions(steps=ranking.steps, seed=ranking.seed, progress=options.progress)
            texts = select_fit_data(one.request.name, one.dataset, ranking.labels)
            return compare_adaptors(resolved, FitPlan(chosen, lengths, training), texts, options=options)

        board = rank_each(loaded, rank_on, options, sort=ranking.sort)
    output.emit(board)
    check_failed(board)
