"""The commands of `adaptors`."""

from pathlib import Path
from typing import Annotated

import typer

from commands.options import (
    DatasetName,
    Debug,
    Device,
    Dtype,
    Force,
    Format,
    Limit,
    MaxTokens,
    MetricName,
    NoStore,
    Plot,
    Save,
    Seed,
    Split,
    StoreFolder,
    Trust,
)
from commands.pictures import check_plot, save_plot
from commands.progress import working
from commands.shell import app, check_output, command_line, emit, friendly, open_store, say, writes_json
from probe.errors import CallError

__all__ = ["adaptors_app"]

adaptors_app = app("Learn on top of an encoder.", "adaptors rank --on minilm --dataset docstrings --dims 128")

On = Annotated[list[str], typer.Option("--on", help="What to adapt: a hookpoint, several layers, or a fusion by +.")]
Dims = Annotated[str, typer.Option("--dims", help="Dimensions to keep, with commas.")]
Kinds = Annotated[
    str | None,
    typer.Option("--kinds", help="Kinds with commas, as `adaptors fit -h` names them; all when left out."),
]
Labels = Annotated[str, typer.Option(help="Train networks on the judgements of train or dev; none, or a split.")]
Loss = Annotated[str | None, typer.Option(help="A loss other than the kind's own: similarity, ranking, margin, ...")]
Steps = Annotated[int, typer.Option(help="Batches a network is trained for, at most.", min=1)]
Rate = Annotated[float, typer.Option(help="Learning rate at the first step.", min=0)]
Checkpoints = Annotated[
    Path | None, typer.Option(help="Keep every epoch there, and take up a training that was interrupted.")
]
ReportTo = Annotated[str, typer.Option(help="Track the training: tensorboard, wandb, ... (installed by you).")]

_KIND_HELP = (
    "truncate, pca, spectral, lens, distil, or a network: rotation, linear, scalar-mix, attention, residual, mlp, "
    "autoencoder; linear-original and mlp-original: as in the experiment compared with."
)


@adaptors_app.command(epilog="Example: adaptors rank --on minilm --dataset docstrings --dims 256,128")
@friendly
def rank(
    on: On,
    dataset: DatasetName = "docstrings",
    dims: Dims = "512,256,128",
    kinds: Kinds = None,
    labels: Labels = "none",
    steps: Steps = 300,
    metric: MetricName = "ndcg@10",
    split: Split = None,
    limit: Limit = None,
    dtype: Dtype = "auto",
    device: Device = "auto",
    seed: Seed = 0,
    trust_remote_code: Trust = False,
    store: StoreFolder = None,
    no_store: NoStore = False,
    format: Format = "table",
    save: Save = None,
    plot: Plot = None,
    debug: Debug = False,
) -> None:
    """Rank kinds of adaptors on hookpoints, dimension by dimension, each beside PCA and the frozen encoder."""
    check_output(format, save)
    check_plot(plot)
    wanted = _parse_dims(dims)
    from adaptors.gathering import choose_texts
    from adaptors.kinds import KINDS, check_kinds
    from adaptors.ladder import LadderPlan, climb
    from adaptors.resolve import resolve_specs
    from adaptors.train_options import TrainOptions
    from probe.dataset import load_dataset
    from probe.metrics import Metric
    from probe.profile import LoadOptions
    from probe.ranking import RankOptions

    named = kinds.split(",") if kinds else [name for name, kind in KINDS.items() if kind.is_rung]
    chosen = check_kinds(named)
    ranked_by = Metric.parse(metric)
    kept = open_store(store, no_store)
    options = LoadOptions(dtype, device, trust_remote_code=trust_remote_code)
    say(f"loading {dataset} and the models of {', '.join(on)}")
    with working() as report:
        data = load_dataset(dataset, split, limit)
        resolved = resolve_specs(on, options, kept)
        ranking = RankOptions(ranked_by, seed, False, command_line(), kept, report, writes_json(format, save))
        plan = LadderPlan(chosen, wanted, TrainOptions(steps=steps, seed=seed, progress=report))
        board = climb(resolved, plan, choose_texts(dataset, data, labels), ranking)
    emit(board, format, save)
    save_plot(board, plot)


@adaptors_app.command(epilog="Example: adaptors fit lens --on minilm@5 --dataset docstrings --out ./minilm-5-lens")
@friendly
def fit(
    kind: Annotated[str, typer.Argument(help=_KIND_HELP)],
    on: Annotated[str, typer.Option("--on", help="What to adapt: one hookpoint, or a fusion by +.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to make.")],
    dataset: DatasetName = "docstrings",
    dims: Annotated[str | None, typer.Option("--dims", help="Dimensions to score; the greatest is saved.")] = None,
    split: Split = None,
    labels: Labels = "none",
    loss: Loss = None,
    steps: Steps = 300,
    rate: Rate = 1e-3,
    seed: Seed = 0,
    checkpoints: Checkpoints = None,
    report_to: ReportTo = "none",
    force: Force = False,
    max_tokens: MaxTokens = None,
    trust_remote_code: Trust = False,
    store: StoreFolder = None,
    no_store: NoStore = False,
    debug: Debug = False,
) -> None:
    """Fit one adaptor, without labels unless told otherwise, and save it with its encoder; prints the folder.

    A lens maps into the full model's space: a cut query encoder with a lens can search an index that the full model
    built.
    """
    from adaptors.train_options import TrainOptions
    from commands.fitting import FitRequest, fit_and_save
    from probe.profile import LoadOptions

    wanted = _parse_dims(dims) if dims else ()
    training = TrainOptions(loss, steps, rate, seed, checkpoints, report_to)
    options = LoadOptions("float32", "cpu", max_tokens, trust_remote_code=trust_remote_code)
    place = (store, no_store)
    fit_and_save(FitRequest(kind, on, wanted, dataset, split, out, force, place, labels, training), options)


def _parse_dims(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise CallError(f"--dims '{text}': expected whole numbers, as 512,256,128")
    return tuple(sorted({int(part) for part in parts}, reverse=True))
