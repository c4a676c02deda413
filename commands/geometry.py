"""The command `probe geometry`."""

from typing import Annotated

import typer

from commands.app import friendly
from commands.options import (
    DatasetName,
    Debug,
    Device,
    DocumentPrompt,
    Dtype,
    Layers,
    Limit,
    MaxTokens,
    NoStore,
    Plot,
    Poolings,
    QueryPrompt,
    SaveJson,
    Split,
    StoreFolder,
    TableOrJson,
    Trust,
    open_store,
)
from commands.output import check_json_output, check_plot, command_line, emit_json, save_plot, say
from commands.progress import working

__all__ = ["geometry"]

Models = Annotated[
    list[str] | None, typer.Option("--model", "-m", help="Alias, hub id or folder; name two to compare their layers.")
]


@friendly
def geometry(
    model: Models = None,
    dataset: DatasetName = "docstrings",
    layers: Layers = "all",
    pooling: Poolings = "own",
    split: Split = None,
    limit: Limit = None,
    dtype: Dtype = "auto",
    device: Device = "auto",
    max_tokens: MaxTokens = None,
    query_prompt: QueryPrompt = None,
    document_prompt: DocumentPrompt = None,
    trust_remote_code: Trust = False,
    store: StoreFolder = None,
    no_store: NoStore = False,
    format: TableOrJson = "table",
    save: SaveJson = None,
    plot: Plot = None,
    debug: Debug = False,
) -> None:
    """Measure every layer's vectors: anisotropy, rank, spectrum, norms, alignment; and how alike layers are."""
    check_json_output(format, save)
    check_plot(plot)
    from probe.dataset import load_dataset
    from probe.geometry_render import print_geometry
    from probe.geometry_sweep import measure_geometry
    from probe.opening import open_reader
    from probe.profile import LoadOptions
    from probe.ranking import Contestant
    from probe.reader import select_hookpoints

    names = list(dict.fromkeys(model or ["minilm"]))
    options = LoadOptions(dtype, device, max_tokens, query_prompt, document_prompt, trust_remote_code)
    opened = open_store(store, no_store)
    say(f"loading {dataset} and {', '.join(names)}")
    with working() as report:
        data = load_dataset(dataset, split, limit)
        readers = [open_reader(name, options, opened) for name in names]
        contestants = [
            Contestant(reader, select_hookpoints(reader.model, layers, pooling.split(","))) for reader in readers
        ]
        board = measure_geometry(contestants, data, command_line(), opened, report)
    emit_json(board, format, save, print_geometry)
    save_plot(board, plot)
