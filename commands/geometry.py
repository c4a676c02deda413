"""The command `probe geometry`."""

from typing import Annotated

import typer

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
)
from commands.pictures import check_plot, save_plot
from commands.progress import working
from commands.shell import check_json_output, command_line, emit_json, friendly, open_store, say

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
    from probe.console import print_result
    from probe.dataset_loading import load_dataset
    from probe.geometry_sweep import measure_geometry
    from probe.hookpoints import select_hookpoints
    from probe.opening import open_reader
    from probe.options import LoadOptions
    from probe.ranking import Candidate

    names = list(dict.fromkeys(model or ["minilm"]))
    options = LoadOptions(dtype, device, max_tokens, query_prompt, document_prompt, trust_remote_code)
    kept = open_store(store, no_store)
    say(f"loading {dataset} and {', '.join(names)}")
    with working() as report:
        data = load_dataset(dataset, split, limit)
        readers = [open_reader(name, options, kept) for name in names]
        candidates = [
            Candidate(reader, select_hookpoints(reader.model, layers, pooling.split(","))) for reader in readers
        ]
        board = measure_geometry(candidates, data, command_line(), kept, report)
    emit_json(board, format, save, print_result)
    save_plot(board, plot)
