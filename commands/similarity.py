"""The command `probe similarity`."""

from typing import Annotated

import typer

from commands.app import friendly
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
    open_store,
)
from commands.output import check_json_output, check_plot, command_line, emit_json, save_plot, say
from commands.progress import working

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
    from probe.opening import open_reader
    from probe.profile import LoadOptions
    from probe.scored_pairs import load_pairs
    from probe.similarity_render import print_similarity
    from probe.similarity_sweep import SimilarityOptions, correlate_layers

    options = LoadOptions(dtype, device, max_tokens, None, prompt, trust_remote_code)
    opened = open_store(store, no_store)
    say(f"loading {dataset} and {model}")
    with working() as report:
        pairs = load_pairs(dataset, limit)
        reader = open_reader(model, options, opened)
        correlating = SimilarityOptions(seed, command_line(), opened, report)
        board = correlate_layers(reader, pairs, layers, pooling.split(","), correlating)
    emit_json(board, format, save, print_similarity)
    save_plot(board, plot)
