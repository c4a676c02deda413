"""The command `adaptors rank`."""

from typing import Annotated

import typer

from encoder_surgery.shell import options as option
from encoder_surgery.shell.app import friendly
from encoder_surgery.shell.options import open_store, parse_dims
from encoder_surgery.shell.output import check_output, check_plot, command_line, emit, save_plot, say, writes_json
from encoder_surgery.shell.progress import working

__all__ = ["rank"]

On = Annotated[list[str], typer.Option("--on", help="What to adapt: a hookpoint, several layers, or a fusion by +.")]
Dims = Annotated[str, typer.Option("--dims", help="Dimensions to keep, with commas.")]
Kinds = Annotated[
    str | None,
    typer.Option("--kinds", help="Kinds with commas, as `adaptors fit -h` names them; all when left out."),
]


@friendly
def rank(
    on: On,
    dataset: option.DatasetName = "docstrings",
    dims: Dims = "512,256,128",
    kinds: Kinds = None,
    labels: option.Labels = "none",
    steps: option.Steps = 300,
    metric: option.MetricName = "ndcg@10",
    split: option.Split = None,
    limit: option.Limit = None,
    dtype: option.Dtype = "auto",
    device: option.Device = "auto",
    seed: option.Seed = 0,
    trust_remote_code: option.Trust = False,
    store: option.StoreFolder = None,
    no_store: option.NoStore = False,
    format: option.Format = "table",
    save: option.Save = None,
    plot: option.Plot = None,
    debug: option.Debug = False,
) -> None:
    """Rank kinds of adaptors on hookpoints, dimension by dimension, each beside PCA and the frozen encoder."""
    check_output(format, save)
    check_plot(plot)
    lengths = parse_dims(dims)
    from adaptors.encoders.specs import resolve_specs
    from adaptors.fitting.compare import FitPlan, compare_adaptors
    from adaptors.fitting.data import select_fit_data
    from adaptors.fitting.kinds import KINDS, check_kinds
    from adaptors.fitting.options import TrainOptions
    from probe.data.loading import load_dataset
    from probe.experiments.options import RunOptions
    from probe.metrics.retrieval import Metric
    from probe.models.options import LoadOptions

    named = kinds.split(",") if kinds else [name for name, kind in KINDS.items() if kind.is_default]
    chosen = check_kinds(named)
    ranked_by = Metric.parse(metric)
    opened = open_store(store, no_store)
    options = LoadOptions(dtype, device, trust_remote_code=trust_remote_code)
    say(f"loading {dataset} and the models of {', '.join(on)}")
    with working() as report:
        data = load_dataset(dataset, split, limit)
        resolved = resolve_specs(on, options, opened)
        ranking = RunOptions(ranked_by, seed, False, command_line(), opened, report, writes_json(format, save))
        plan = FitPlan(chosen, lengths, TrainOptions(steps=steps, seed=seed, progress=report))
        board = compare_adaptors(resolved, plan, select_fit_data(dataset, data, labels), options=ranking)
    emit(board, format, save)
    save_plot(board, plot)
