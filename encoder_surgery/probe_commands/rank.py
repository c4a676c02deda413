"""The command `probe rank`."""

from typing import TYPE_CHECKING, Annotated

import typer

from encoder_surgery.shell import options as option
from encoder_surgery.shell.app import friendly
from encoder_surgery.shell.engine import EngineOptions
from encoder_surgery.shell.options import load_ranked, open_store, wants_bm25
from encoder_surgery.shell.output import check_output, check_plot, command_line, emit, save_plot, say, writes_json
from encoder_surgery.shell.progress import working
from probe.errors import CallError

if TYPE_CHECKING:
    from probe.experiments.specs import ResolvedSpecs
    from probe.models.options import LoadOptions
    from probe.store.store import Store

__all__ = ["rank"]

# The backslash keeps rich from reading brackets as markup.
_SPECS = "Encoders, written model\\[@layers]\\[:pooling], or several joined by + ; the first is the baseline."


@friendly
def rank(
    specs: Annotated[list[str] | None, typer.Argument(help=_SPECS)] = None,
    queries: Annotated[str | None, typer.Option(help="Encoder of the queries, where --documents has another.")] = None,
    documents: Annotated[str | None, typer.Option(help="Encoder of the documents that --queries searches.")] = None,
    dataset: option.DatasetName = "docstrings",
    metric: option.MetricName = "ndcg@10",
    split: option.Split = None,
    limit: option.Limit = None,
    dtype: option.Dtype = "auto",
    device: option.Device = "auto",
    seed: option.Seed = 0,
    max_tokens: option.MaxTokens = None,
    query_prompt: option.QueryPrompt = None,
    document_prompt: option.DocumentPrompt = None,
    trust_remote_code: option.Trust = False,
    baseline: option.Baseline = None,
    fuse_runs: option.FuseRuns = None,
    store: option.StoreFolder = None,
    no_store: option.NoStore = False,
    engine: option.EngineName = "local",
    address: option.EngineAddress = None,
    workers: option.EngineWorkers = None,
    gpus_per_worker: option.GpusPerWorker = None,
    format: option.Format = "table",
    save: option.Save = None,
    plot: option.Plot = None,
    debug: option.Debug = False,
) -> None:
    """Rank any encoders side by side, each tested against the first one given.

    Layer left out = the last one, pooling left out = the model's own; minilm@all:mean and minilm@3,5 name several.
    minilm@6:tokens ranks by late interaction, token by token.
    """
    check_output(format, save)
    check_plot(plot)
    engines = EngineOptions(engine, address, workers, gpus_per_worker)
    named = _check_specs(specs or [], queries, documents, fuse_runs=fuse_runs)
    engines.check(named)
    from probe.experiments.options import RunOptions
    from probe.experiments.ranking import rank_candidates
    from probe.experiments.specs import pair_towers
    from probe.metrics.retrieval import Metric
    from probe.models.options import LoadOptions

    options = LoadOptions(dtype, device, max_tokens, query_prompt, document_prompt, trust_remote_code)
    ranked_by, bm25 = Metric.parse(metric), wants_bm25(baseline)
    opened = open_store(store, no_store)
    chosen = engines.pick(dataset, split, limit, trust=trust_remote_code)
    say(f"loading {dataset} and the models of {', '.join(named)}")
    data = load_ranked(dataset, split, limit, bm25=bm25)
    with working() as report, engines.ready():
        resolved = _resolve(named, bool(queries), fuse_runs, options=options, store=opened)
        resolved = pair_towers(resolved, data, options, store=opened)
        ranking = RunOptions(ranked_by, seed, bm25, command_line(), opened, report, writes_json(format, save), chosen)
        board = rank_candidates(
            resolved.candidates, data, str(resolved.baseline), options=ranking, fusions=resolved.fusions
        )
    emit(board, format, save)
    save_plot(board, plot)


def _check_specs(specs: list[str], queries: str | None, documents: str | None, *, fuse_runs: str | None) -> list[str]:
    """Return the encoders a call of `rank` names."""
    if queries is None and documents is None:
        if not specs:
            raise CallError("no encoder is named: expected specs such as minilm@6:mean, or --queries and --documents")
        return specs
    if queries is None or documents is None or specs or fuse_runs:
        raise CallError("--queries and --documents go together, and without other encoders or --fuse-runs")
    return [documents, queries]


def _resolve(
    specs: list[str], is_pair: bool, fuse_runs: str | None, *, options: "LoadOptions", store: "Store | None"
) -> "ResolvedSpecs":
    """Open the encoders that a call of `rank` names: any, or one of documents and one of queries."""
    from adaptors.encoders.specs import resolve_sides, resolve_specs

    if is_pair:
        documents, queries = specs
        return resolve_sides(queries, documents, options, store=store)
    return resolve_specs(specs, options, store, run_rules=fuse_runs.split(",") if fuse_runs else (), tokens=True)
