"""The command `probe gate`."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, ClassVar

from encoder_surgery.shell import options as option
from encoder_surgery.shell.app import flag, friendly
from encoder_surgery.shell.completion import complete_specs
from encoder_surgery.shell.engine import EngineFlags
from encoder_surgery.shell.output import ResultFlags, command_line, say
from encoder_surgery.shell.panels import MAIN_PANEL
from encoder_surgery.shell.positional import positional
from encoder_surgery.shell.progress import working
from probe.errors import CallError, ProbeError

if TYPE_CHECKING:
    from probe.data.dataset import Dataset
    from probe.experiments.options import RunOptions
    from probe.metrics.non_inferiority import GateGoal
    from probe.results.leaderboard import Leaderboard

__all__ = ["gate"]

# The backslash keeps rich from reading brackets as markup.
_CANDIDATE = "Encoder to test: model\\[@layer]\\[:pooling], several joined by + for a fusion, or a saved folder."
_BASELINE = "Encoder that it is tested against, written likewise."


@dataclass(frozen=True)
class GoalFlags:
    """What has to be shown."""

    panel: ClassVar[str] = "Goal"

    margin: Annotated[float | None, flag("Loss to rule out, in the metric; default: 0.01.", show_default=False)] = None
    keep: Annotated[float | None, flag("Share of the baseline's score to keep, instead of a margin.")] = None
    alpha: Annotated[float, flag("Error rate: how often a candidate that loses the margin may pass.")] = 0.05

    def goal(self) -> "GateGoal":
        """Return the goal."""
        from probe.metrics.non_inferiority import GateGoal

        return GateGoal(self.margin, self.keep, self.alpha)


@dataclass(frozen=True)
class ScoreFlags:
    """How both encoders are scored."""

    panel: ClassVar[str] = "Data"

    metric: option.MetricName = "ndcg@10"
    seed: option.Seed = 0
    similarity: option.Similarity = "own"
    drop_same_id: option.DropSameId = False

    def options(self, loading: option.EncodeFlags, store: option.StoreFlags) -> "RunOptions":
        """Return how to rank, without a progress bar."""
        from probe.experiments.options import RunOptions

        return RunOptions(
            metric=self.metric,
            seed=self.seed,
            command=command_line(),
            store=store.open(),
            load=loading.load_options(),
            similarity=self.similarity,
            drop_same_id=self.drop_same_id,
        )


@friendly
def gate(
    candidate: Annotated[str | None, positional(_CANDIDATE, "--model", "-m", complete=complete_specs)] = None,
    *,
    baseline: Annotated[str, flag(_BASELINE, "--baseline", "-b", panel=MAIN_PANEL, autocompletion=complete_specs)],
    queries: Annotated[str | None, flag("Encoder of the candidate's queries only (asymmetric search).")] = None,
    documents: Annotated[str | None, flag("Encoder of the candidate's documents only (asymmetric search).")] = None,
    goal: GoalFlags,
    data: option.DataFlags,
    scores: ScoreFlags,
    loading: option.EncodeFlags,
    output: ResultFlags,
    store: option.StoreFlags,
    engine: EngineFlags,
) -> None:
    """Test whether an encoder may take the place of another; the exit code is 0 only if that is shown.

    It is shown if a paired test rules out a loss of the margin or more. The exit code is 1 if it does not, because the
    loss is real or because the queries are too few, and 2 if the call is wrong. With several data sets, the candidate
    has to pass on each of them.
    """
    output.check("gate")
    wanted = goal.goal()
    asker, index = _check_sides(candidate, queries, documents)
    engine.check([asker, baseline])
    from adaptors.encoders.specs import resolve_gate
    from probe.experiments.gate import gate_datasets

    options = scores.options(loading, store)
    say(f"loading {', '.join(data.names)} and the models of {', '.join(filter(None, (asker, index, baseline)))}")
    loaded = data.load()
    found = {one.label: one for one in loaded.found}
    with working() as report, engine.ready():
        options = replace(options, progress=report)
        pair = resolve_gate(asker, baseline, index, options=options)

        def rank_on(name: str, dataset: "Dataset") -> "Leaderboard":
            """Rank candidate and baseline on one data set."""
            here = options.named(name) if len(found) > 1 else options
            picked = engine.pick(found[name], data.size, trust=loading.trust_remote_code)
            return pair.rank(dataset, replace(here, engine=picked))

        datasets = {name: one.dataset for name, one in found.items()}
        failed = loaded.failed if loaded.keep_going else None
        result = gate_datasets(datasets, rank_on, wanted, seed=options.seed, failed=failed)
    output.emit(result)
    if not result.is_passed:
        raise ProbeError(f"not passed: {'; '.join(result.reasons())}")


def _check_sides(candidate: str | None, queries: str | None, documents: str | None) -> tuple[str, str | None]:
    """Return the candidate, or the encoder of its queries and the one of its documents."""
    if candidate is not None and queries is None and documents is None:
        return candidate, None
    if candidate is None and queries is not None and documents is not None:
        return queries, documents
    if candidate is None and queries is None and documents is None:
        raise CallError("no candidate is given: expected a spec such as minilm@6:mean, or --queries and --documents")
    raise CallError("--queries and --documents must be given together, and without another candidate")
