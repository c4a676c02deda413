"""The commands of `adaptors`."""

from typing import Annotated

import typer

from commands.options import (
    DatasetName,
    Debug,
    Device,
    Dtype,
    Format,
    Limit,
    MetricName,
    NoStore,
    Save,
    Seed,
    Split,
    StoreFolder,
    Trust,
)
from commands.shell import app, check_output, command_line, emit, friendly, open_store, say, working
from probe.errors import CallError

__all__ = ["adaptors_app"]

adaptors_app = app("Learn on top of an encoder.", "adaptors rank --on minilm --dataset docstrings --dims 128")

On = Annotated[list[str], typer.Option("--on", help="What to adapt: a hookpoint, several layers, or a fusion by +.")]
Dims = Annotated[str, typer.Option("--dims", help="Dimensions to keep, with commas.")]
Kinds = Annotated[str, typer.Option("--kinds", help="truncate, pca, spectral, lens, with commas.")]


@adaptors_app.callback()
def several_commands() -> None:
    """Keep `rank` a command of its own while it is the only one."""


@adaptors_app.command(epilog="Example: adaptors rank --on minilm --dataset docstrings --dims 256,128")
@friendly
def rank(
    on: On,
    dataset: DatasetName = "docstrings",
    dims: Dims = "512,256,128",
    kinds: Kinds = "truncate,pca,spectral,lens",
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
    debug: Debug = False,
) -> None:
    """Rank kinds of adaptors on hookpoints, dimension by dimension, each beside PCA and the frozen encoder."""
    check_output(format, save)
    wanted = _parse_dims(dims)
    from adaptors.gathering import FitTexts
    from adaptors.ladder import LadderPlan, check_kinds, climb
    from adaptors.resolve import resolve_specs
    from probe.dataset import load_dataset
    from probe.metrics import Metric
    from probe.profile import LoadOptions
    from probe.ranking import RankOptions

    plan = LadderPlan(check_kinds(kinds.split(",")), wanted)
    ranked_by = Metric.parse(metric)
    kept = open_store(store, no_store)
    options = LoadOptions(dtype, device, trust_remote_code=trust_remote_code)
    say(f"loading {dataset} and the models of {', '.join(on)}")
    with working() as report:
        data = load_dataset(dataset, split, limit)
        resolved = resolve_specs(on, options, kept)
        ranking = RankOptions(ranked_by, seed, command=command_line(), store=kept, progress=report)
        board = climb(resolved, plan, FitTexts(data), ranking)
    emit(board, format, save)


def _parse_dims(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise CallError(f"--dims '{text}': expected whole numbers, as 512,256,128")
    return tuple(sorted({int(part) for part in parts}, reverse=True))
