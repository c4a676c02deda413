"""The command `probe similarity`."""

from typing import Annotated

import typer

from encoder_surgery.shell import options as option
from encoder_surgery.shell.app import friendly
from encoder_surgery.shell.options import open_store
from encoder_surgery.shell.output import check_json_output, check_plot, command_line, emit_json, save_plot, say
from encoder_surgery.shell.progress import working

__all__ = ["similarity"]

ScoredPairsName = Annotated[
    str,
    typer.Option("--dataset", "-d", help="docstrings, or a .jsonl or .csv file with sentence1, sentence2 and score."),
]


@friendly
def similarity(
    model: option.Model = "minilm",
    dataset: ScoredPairsName = "docstrings",
    layers: option.Layers = "all",
    pooling: option.Poolings = "own",
    limit: option.TextLimit = None,
    dtype: option.Dtype = "auto",
    device: option.Device = "auto",
    seed: option.Seed = 0,
    max_tokens: option.MaxTokens = None,
    prompt: option.Prompt = None,
    trust_remote_code: option.Trust = False,
    store: option.StoreFolder = None,
    no_store: option.NoStore = False,
    format: option.TableOrJson = "table",
    save: option.SaveJson = None,
    plot: option.Plot = None,
    debug: option.Debug = False,
) -> None:
    """Correlate cosines with the gold scores of sentence pairs at every layer (Spearman)."""
    check_json_output(format, save)
    check_plot(plot)
    from probe.data.scored_pairs import load_scored_pairs
    from probe.experiments.options import RunOptions
    from probe.experiments.similarity import correlate_layers
    from probe.models.options import LoadOptions
    from probe.results.console import print_result

    options = LoadOptions(dtype, device, max_tokens, None, prompt, trust_remote_code)
    opened = open_store(store, no_store)
    say(f"loading {dataset} and {model}")
    with working() as report:
        pairs = load_scored_pairs(dataset, limit)
        running = RunOptions(seed=seed, command=command_line(), store=opened, progress=report, load=options)
        board = correlate_layers(model, pairs, layers, poolings=pooling.split(","), options=running)
    emit_json(board, format, save, draw=print_result)
    save_plot(board, plot)
