"""The commands of `probe` that read models."""

from typing import TYPE_CHECKING, Annotated

import typer

from commands.engines import EngineOptions
from commands.layer_extras import LayerExtras
from commands.options import (
    Baseline,
    DatasetName,
    Debug,
    Device,
    DocumentPrompt,
    Dtype,
    EngineAddress,
    EngineName,
    EngineWorkers,
    Format,
    FuseRuns,
    GpusPerWorker,
    Layers,
    Lens,
    Limit,
    MaxTokens,
    MetricName,
    Model,
    NoStore,
    Plot,
    QueryPrompt,
    RankedPoolings,
    Recommend,
    Save,
    Seed,
    Split,
    StoreFolder,
    TableOrJson,
    Trust,
)
from commands.pictures import check_plot, save_plot
from commands.progress import working
from commands.shell import (
    app,
    check_choice,
    check_output,
    command_line,
    console,
    emit,
    friendly,
    open_store,
    print_json,
    say,
    writes_json,
)
from probe.errors import CallError

if TYPE_CHECKING:
    from adaptors.resolve import ResolvedSpecs
    from probe.dataset import Dataset
    from probe.options import LoadOptions
    from probe.store import Store

__all__ = ["probe_app"]

# The backslash keeps rich from reading brackets as markup.
_SPECS = "Encoders, written model\\[@layers]\\[:pooling], or several joined by + ; the first is the baseline."
probe_app = app(
    "See what every layer of an encoder knows, ranked by retrieval score.",
    "probe layers --model minilm --dataset docstrings",
)


@probe_app.command(epilog="Example: probe layers --model minilm --dataset docstrings --layers 4-6 --pooling own,cls")
@friendly
def layers(
    model: Model = "minilm",
    dataset: DatasetName = "docstrings",
    layers: Layers = "all",
    pooling: RankedPoolings = "own",
    metric: MetricName = "ndcg@10",
    split: Split = None,
    limit: Limit = None,
    lens: Lens = False,
    recommend: Recommend = None,
    dtype: Dtype = "auto",
    device: Device = "auto",
    seed: Seed = 0,
    max_tokens: MaxTokens = None,
    query_prompt: QueryPrompt = None,
    document_prompt: DocumentPrompt = None,
    trust_remote_code: Trust = False,
    baseline: Baseline = None,
    store: StoreFolder = None,
    no_store: NoStore = False,
    engine: EngineName = "local",
    address: EngineAddress = None,
    workers: EngineWorkers = None,
    gpus_per_worker: GpusPerWorker = None,
    format: Format = "table",
    save: Save = None,
    plot: Plot = None,
    debug: Debug = False,
) -> None:
    """Rank every layer of a model by how well it retrieves, in one pass over the texts.

    A layer is probed by zero-shot retrieval: nothing is fitted, unless --lens asks for it. The full model is always in
    the table.
    """
    check_output(format, save)
    check_plot(plot)
    engines = EngineOptions(engine, address, workers, gpus_per_worker)
    engines.check(pooling.split(","))
    from probe.metrics import Metric
    from probe.options import LoadOptions
    from probe.ranking import RankOptions

    options = LoadOptions(dtype, device, max_tokens, query_prompt, document_prompt, trust_remote_code)
    ranked_by, bm25 = Metric.parse(metric), _wants_bm25(baseline)
    kept = open_store(store, no_store)
    chosen = engines.pick(dataset, split, limit, trust_remote_code)
    extras = LayerExtras(lens, recommend, model, dataset)
    say(f"loading {dataset} and {model}")
    data = _load_data(dataset, split, limit, bm25)
    with working() as report, engines.ready():
        ranking = RankOptions(ranked_by, seed, bm25, command_line(), kept, report, writes_json(format, save), chosen)
        board = extras.rank(data, options, (layers, pooling), ranking)
    emit(board, format, save)
    save_plot(board, plot)


@probe_app.command(epilog="Example: probe rank minilm@6:mean minilm@5:mean minilm@6:cls --dataset docstrings")
@friendly
def rank(
    specs: Annotated[list[str] | None, typer.Argument(help=_SPECS)] = None,
    queries: Annotated[str | None, typer.Option(help="Encoder of the queries, where --documents has another.")] = None,
    documents: Annotated[str | None, typer.Option(help="Encoder of the documents that --queries searches.")] = None,
    dataset: DatasetName = "docstrings",
    metric: MetricName = "ndcg@10",
    split: Split = None,
    limit: Limit = None,
    dtype: Dtype = "auto",
    device: Device = "auto",
    seed: Seed = 0,
    max_tokens: MaxTokens = None,
    query_prompt: QueryPrompt = None,
    document_prompt: DocumentPrompt = None,
    trust_remote_code: Trust = False,
    baseline: Baseline = None,
    fuse_runs: FuseRuns = None,
    store: StoreFolder = None,
    no_store: NoStore = False,
    engine: EngineName = "local",
    address: EngineAddress = None,
    workers: EngineWorkers = None,
    gpus_per_worker: GpusPerWorker = None,
    format: Format = "table",
    save: Save = None,
    plot: Plot = None,
    debug: Debug = False,
) -> None:
    """Rank any encoders side by side, each tested against the first one given.

    Layer left out = the last one, pooling left out = the model's own; minilm@all:mean and minilm@3,5 name several.
    minilm@6:tokens ranks by late interaction, token by token.
    """
    check_output(format, save)
    check_plot(plot)
    engines = EngineOptions(engine, address, workers, gpus_per_worker)
    named = _check_specs(specs or [], queries, documents, fuse_runs)
    engines.check(named)
    from adaptors.resolve_towers import pair_towers
    from probe.metrics import Metric
    from probe.options import LoadOptions
    from probe.ranking import RankOptions
    from probe.ranking import rank as rank_contestants

    options = LoadOptions(dtype, device, max_tokens, query_prompt, document_prompt, trust_remote_code)
    ranked_by, bm25 = Metric.parse(metric), _wants_bm25(baseline)
    kept = open_store(store, no_store)
    chosen = engines.pick(dataset, split, limit, trust_remote_code)
    say(f"loading {dataset} and the models of {', '.join(named)}")
    data = _load_data(dataset, split, limit, bm25)
    with working() as report, engines.ready():
        sides = (queries, documents) if queries and documents else None
        resolved = pair_towers(_resolve(named, sides, fuse_runs, (options, kept)), data, options, kept)
        ranking = RankOptions(ranked_by, seed, bm25, command_line(), kept, report, writes_json(format, save), chosen)
        board = rank_contestants(resolved.candidates, data, str(resolved.baseline), ranking, resolved.fusions)
    emit(board, format, save)
    save_plot(board, plot)


@probe_app.command(epilog="Example: probe models")
@friendly
def models(format: TableOrJson = "table", debug: Debug = False) -> None:
    """List the aliases: hub id, pooling, prompts, longest input, and which are on this machine now."""
    check_choice("--format", format, ("table", "json"))
    from probe.console import print_whole
    from probe.models_table import list_models, model_notes, models_table

    found = list_models()
    if format == "json":
        print_json([vars(model) for model in found])
        return
    print_whole(models_table(found), console())
    for line in model_notes(found):
        console().print(line, markup=False)


def _check_specs(specs: list[str], queries: str | None, documents: str | None, fuse_runs: str | None) -> list[str]:
    """Return the encoders a call of `rank` names."""
    if queries is None and documents is None:
        if not specs:
            raise CallError("no encoder is named: expected specs such as minilm@6:mean, or --queries and --documents")
        return specs
    if queries is None or documents is None or specs or fuse_runs:
        raise CallError("--queries and --documents go together, and without other encoders or --fuse-runs")
    return [documents, queries]


def _resolve(
    specs: list[str],
    sides: tuple[str, str] | None,
    fuse_runs: str | None,
    opening: "tuple[LoadOptions, Store | None]",
) -> "ResolvedSpecs":
    """Open what a call of `rank` names: encoders, or one for queries and one for documents."""
    from adaptors.resolve import resolve_sides, resolve_specs

    if sides:
        return resolve_sides(*sides, *opening)
    return resolve_specs(specs, *opening, fuse_runs.split(",") if fuse_runs else (), tokens=True)


def _load_data(name: str, split: str | None, limit: int | None, bm25: bool) -> "Dataset":
    from probe.dataset import refuse_images
    from probe.dataset_loading import load_dataset

    data = load_dataset(name, split, limit)
    if bm25:
        refuse_images(data, "BM25")
    if limit is not None and len(data.documents) > limit:
        say(f"--limit {limit} keeps {len(data.documents)} documents: every judged one stays")
    return data


def _wants_bm25(baseline: str | None) -> bool:
    if baseline is None:
        return False
    check_choice("--baseline", baseline, ("bm25",))
    from probe.bm25 import check_bm25

    check_bm25()
    return True
