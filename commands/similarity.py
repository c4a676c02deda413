"""The command `probe similarity`."""

from typing import Annotated

import typer

from commands.options import (
    Debug,
    Device,
    Dtype,
    Layers,
    MaxTokens,
    Model,
    NoStore,
    Plot,
    Poolings,
    Prompt,
    SaveJson,
    Seed,
    StoreFolder,
    TableOrJson,
    TextLimit,
    Trust,
)
from commands.pictures import check_plot, save_plot
from commands.progress import working
from commands.shell import check_json_output, command_line, emit_json, friendly, open_store, say

__all__ = ["similarity"]

ScoredPairsName = Annotated[
    str,
    typer.Option("--dataset", "-d", help="docstrings, or a .jsonl or .csv file with sentence1, sentence2 and score."),
]


@friendly
def similarity(
    model: Model = "minilm",
    dataset: ScoredPairsName = "docstrings",
    layers: Layers = "all",
    pooling: Poolings = "own",
    limit: TextLimit = None,
    dtype: Dtype = "auto",
    device: Device = "auto",
    seed: Seed = 0,
    max_tokens: MaxTokens = None,
    prompt: Prompt = None,
    trust_remote_code: Trust = False,
    store: StoreFolder = None,
    no_store: NoStore = False,
    format: TableOrJson = "table",
    save: SaveJson = None,
    plot: Plot = None,
    debug: Debug = False,
) -> None:
    """Correlate cosines with the gold scores of sentence pairs at every layer (Spearman)."""
    check_json_output(format, save)
    check_plot(plot)
    from probe.console import print_result
    from probe.opening import open_reader
    from probe.options import LoadOptions
    from probe.scored_pairs import load_pairs
    from probe.similarity_sweep import SimilarityOptions, correlate_layers

    options = LoadOptions(dtype, device, max_tokens, None, prompt, trust_remote_code)
    kept = open_store(store, no_store)
    say(f"loading {dataset} and {model}")
    with working() as report:
        pairs = load_pairs(dataset, limit)
        reader = open_reader(model, options, kept)
        correlating = SimilarityOptions(seed, command_line(), kept, report)
        board = correlate_layers(reader, pairs, layers, pooling.split(","), correlating)
    emit_json(board, format, save, print_result)
    save_plot(board, plot)
