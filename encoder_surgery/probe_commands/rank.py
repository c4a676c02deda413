"""The command `probe rank`."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

from encoder_surgery.shell import options as option
from encoder_surgery.shell.app import flag, friendly
from encoder_surgery.shell.completion import complete_specs
from encoder_surgery.shell.datasets import check_failed, check_table, rank_each
from encoder_surgery.shell.engine import EngineFlags
from encoder_surgery.shell.idle import Idle, refuses
from encoder_surgery.shell.output import ResultFlags, say
from encoder_surgery.shell.positional import positional
from encoder_surgery.shell.progress import working
from encoder_surgery.shell.storage import StorageFlags
from probe.errors import CallError

if TYPE_CHECKING:
    from probe.experiments.options import RunOptions
    from probe.results.leaderboard import Leaderboard
    from probe.sources.several import LoadedDataset

__all__ = ["rank"]

# The backslash keeps rich from reading brackets as markup.
_SPECS = "Encoders: model\\[@layers]\\[:pooling], several joined by + for a fusion; the first is the baseline."


def _joins_nothing(values: Mapping[str, Any]) -> bool:
    return bool(values["specs"]) and not any("+" in spec for spec in values["specs"])


@friendly
@refuses(Idle(("fuse_runs",), _joins_nothing, "without a fusion among the encoders, such as a+b"))
def rank(
    specs: Annotated[list[str], positional(_SPECS, "--model", "-m", complete=complete_specs)] = [],  # noqa: B006
    queries: Annotated[str | None, flag("Encoder of the queries only (asymmetric search).")] = None,
    documents: Annotated[str | None, flag("Encoder of the documents only (asymmetric search).")] = None,
    fuse_runs: Annotated[
        Literal["rrf", "combsum", "rrf,combsum"] | None, flag("Add late fusion of rankings to every fusion.")
    ] = None,
    *,
    data: option.DataFlags,
    ranking: option.RankFlags,
    loading: option.EncodeFlags,
    output: ResultFlags,
    store: option.StoreFlags,
    engine: EngineFlags,
    storage: StorageFlags,
) -> None:
    """Rank encoders side by side, each tested against the first one.

    Default layer: the last; default pooling: the model's own. minilm@all:mean and minilm@3,5 are several encoders.
    minilm@6:tokens ranks by late interaction (token vectors).
    """
    output.check("leaderboard", several=data.is_several)
    named = _check_specs(specs or [], queries, documents, fuse_runs=fuse_runs)
    engine.check(named)
    from adaptors.encoders.specs import resolve_sides, resolve_specs
    from adaptors.quantizing.ranking import compress_specs
    from probe.experiments.ranking import rank_candidates
    from probe.experiments.specs import pair_towers

    load_options = loading.load_options()
    options = replace(ranking.options(loading, store, examples=output.writes_json), storage=storage.plan())
    say(f"loading {', '.join(data.names)} and the models of {', '.join(named)}")
    loaded = data.load(bm25=options.bm25)
    check_table(loaded, output, ranking.sort)
    with working() as report, engine.ready():
        options = replace(options, progress=report)
        if queries and documents:
            found = resolve_sides(queries, documents, load_options, store=options.store, similarity=options.similarity)
        else:
            rules = fuse_runs.split(",") if fuse_runs else ()
            found = resolve_specs(
                named, load_options, options.store, run_rules=rules, tokens=True, similarity=options.similarity
            )

        def rank_on(one: "LoadedDataset", options: "RunOptions") -> "Leaderboard":
            """Rank the encoders on one data set."""
            paired = pair_towers(found, one.dataset, load_options, store=options.store)
            small = compress_specs(paired, one.dataset, options)
            return rank_candidates(
                paired.candidates, one.dataset, str(paired.baseline), options=options, fusions=[*paired.fusions, *small]
            )

        pick = partial(engine.pick, size=data.size, trust=loading.trust_remote_code)
        board = rank_each(loaded, rank_on, options, sort=ranking.sort, engine=pick)
    output.emit(board)
    check_failed(board)


def _check_specs(specs: list[str], queries: str | None, documents: str | None, *, fuse_runs: str | None) -> list[str]:
    """Return the encoders of a call of `rank`."""
    if queries is None and documents is None:
        if not specs:
            raise CallError("no encoder is given: expected specs such as minilm@6:mean, or --queries and --documents")
        return specs
    if queries is None or documents is None or specs or fuse_runs:
        raise CallError("--queries and --documents must be given together, without other encoders or --fuse-runs")
    return [documents, queries]
