"""The command `probe geometry`."""

from typing import Annotated

import typer

from encoder_surgery.shell import options as option
from encoder_surgery.shell.app import friendly
from encoder_surgery.shell.options import open_store
from encoder_surgery.shell.output import check_json_output, check_plot, command_line, emit_json, save_plot, say
from encoder_surgery.shell.progress import working

__all__ = ["geometry"]

Models = Annotated[
    list[str] | None, typer.Option("--model", "-m", help="Alias, hub id or folder; name two to compare their layers.")
]


@friendly
def geometry(
    model: Models = None,
    dataset: option.DatasetName = "docstrings",
    layers: option.Layers = "all",
    pooling: option.Poolings = "own",
    split: option.Split = None,
    limit: option.Limit = None,
    dtype: option.Dtype = "auto",
    device: option.Device = "auto",
    max_tokens: option.MaxTokens = None,
    query_prompt: option.QueryPrompt = None,
    document_prompt: option.DocumentPrompt = None,
    trust_remote_code: option.Trust = False,
    store: option.StoreFolder = None,
    no_store: option.NoStore = False,
    format: option.TableOrJson = "table",
    save: option.SaveJson = None,
    plot: option.Plot = None,
    debug: option.Debug = False,
) -> None:
    """Measure every layer's vectors: anisotropy, rank, spectrum, norms, alignment; and how alike layers are."""
    check_json_output(format, save)
    check_plot(plot)
    from probe.data.loading import load_dataset
    from probe.experiments.geometry import measure_geometry
    from probe.experiments.options import RunOptions
    from probe.models.options import LoadOptions
    from probe.results.console import print_result

    names = list(dict.fromkeys(model or ["minilm"]))
    options = LoadOptions(dtype, device, max_tokens, query_prompt, document_prompt, trust_remote_code)
    opened = open_store(store, no_store)
    say(f"loading {dataset} and {', '.join(names)}")
    with working() as report:
        data = load_dataset(dataset, split, limit)
        running = RunOptions(command=command_line(), store=opened, progress=report, load=options)
        board = measure_geometry(names, data, layers, poolings=pooling.split(","), options=running)
    emit_json(board, format, save, draw=print_result)
    save_plot(board, plot)
