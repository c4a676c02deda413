"""The command `adaptors rank`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from encoder_surgery.adaptors_commands.training_flags import FittedDims
from encoder_surgery.shell import options as option
from encoder_surgery.shell.app import flag, friendly
from encoder_surgery.shell.idle import Idle, refuses
from encoder_surgery.shell.output import ResultFlags, command_line, say
from encoder_surgery.shell.progress import working

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
    metric: option.MetricName = "ndcg@10"
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
    output.check("leaderboard")
    lengths = option.parse_dims(dims) if dims else ()
    from adaptors.encoders.specs import resolve_specs
    from adaptors.fitting.compare import FitPlan, compare_adaptors
    from adaptors.fitting.data import select_fit_data
    from adaptors.fitting.kinds import KINDS, check_kinds
    from adaptors.fitting.options import TrainOptions
    from probe.experiments.options import RunOptions
    from probe.metrics.retrieval import Metric

    named = kinds.split(",") if kinds else [name for name, kind in KINDS.items() if kind.is_default]
    chosen = check_kinds(named)
    ranked_by = Metric.parse(ranking.metric)
    opened = store.open()
    say(f"loading {data.dataset} and the models of {', '.join(specs)}")
    with working() as report:
        texts = data.load()
        resolved = resolve_specs(specs, loading.load_options(), opened, similarity=ranking.similarity)
        options = RunOptions(
            metric=ranked_by,
            seed=ranking.seed,
            command=command_line(),
            store=opened,
            progress=report,
            examples=output.writes_json,
            similarity=ranking.similarity,
            drop_same_id=ranking.drop_same_id,
        )
        plan = FitPlan(chosen, lengths, TrainOptions(steps=ranking.steps, seed=ranking.seed, progress=report))
        board = compare_adaptors(resolved, plan, select_fit_data(data.dataset, texts, ranking.labels), options=options)
    output.emit(board)
