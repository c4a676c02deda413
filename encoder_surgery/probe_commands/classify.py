"""The command `probe classify`."""

from typing import Annotated

import typer

from encoder_surgery.shell import options as option
from encoder_surgery.shell.app import friendly
from encoder_surgery.shell.options import open_store
from encoder_surgery.shell.output import (
    check_choice,
    check_json_output,
    check_plot,
    command_line,
    emit_json,
    save_plot,
    say,
)
from encoder_surgery.shell.progress import working

__all__ = ["classify"]

Labelled = Annotated[
    str, typer.Option("--dataset", "-d", help="docstrings, or a .jsonl or .csv file with text and label.")
]
ClassMetric = Annotated[str, typer.Option("--metric", help="accuracy or macro-f1: ranks, and chooses the penalty.")]
Folds = Annotated[int, typer.Option(help="Of the outer cross-validation.", min=2)]


@friendly
def classify(
    model: option.Model = "minilm",
    dataset: Labelled = "docstrings",
    layers: option.Layers = "all",
    pooling: option.Poolings = "own",
    metric: ClassMetric = "accuracy",
    folds: Folds = 5,
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
    """Train a linear probe on every layer: what labels can be read off its vectors.

    Logistic regression, judged on held-out folds; its penalty is chosen inside the training folds. The same on shuffled
    labels shows what chance would give.
    """
    check_json_output(format, save)
    check_plot(plot)
    check_choice("--metric", metric, ("accuracy", "macro-f1"))
    from probe.data.labelled_texts import load_labelled_texts
    from probe.experiments.classification import classify_layers
    from probe.experiments.linear_probe import fewest_texts
    from probe.experiments.options import RunOptions
    from probe.models.options import LoadOptions
    from probe.results.console import print_result

    options = LoadOptions(dtype, device, max_tokens, None, prompt, trust_remote_code)
    opened = open_store(store, no_store)
    say(f"loading {dataset} and {model}")
    with working() as report:
        texts = load_labelled_texts(dataset, limit, fewest_texts(folds))
        running = RunOptions(seed=seed, command=command_line(), store=opened, progress=report, load=options)
        poolings = pooling.split(",")
        board = classify_layers(model, texts, layers, poolings=poolings, metric=metric, folds=folds, options=running)
    emit_json(board, format, save, draw=print_result)
    save_plot(board, plot)
