"""The command `probe classify`."""

from typing import Annotated

from encoder_surgery.shell import options as option
from encoder_surgery.shell.app import flag, friendly
from encoder_surgery.shell.output import ResultFlags, check_choice, command_line, say
from encoder_surgery.shell.progress import working

__all__ = ["classify"]

Labelled = Annotated[str, flag("docstrings, or a .jsonl or .csv file with text and label.", "--dataset", "-d")]


@friendly
def classify(
    model: option.Model = "minilm",
    dataset: Labelled = "docstrings",
    layers: option.Layers = "all",
    pooling: option.Poolings = "own",
    metric: Annotated[str, flag("accuracy or macro-f1: ranks, and chooses the penalty.")] = "accuracy",
    folds: Annotated[int, flag("Of the outer cross-validation.", min=2)] = 5,
    limit: option.TextLimit = None,
    seed: option.Seed = 0,
    *,
    loading: option.TextFlags,
    store: option.StoreFlags,
    output: ResultFlags,
) -> None:
    """Train a linear probe on every layer: what labels can be read off its vectors.

    Logistic regression, judged on held-out folds; its penalty is chosen inside the training folds. The same on shuffled
    labels shows what chance would give.
    """
    output.check()
    check_choice("--metric", metric, ("accuracy", "macro-f1"))
    from probe.data.labelled_texts import load_labelled
    from probe.encoding.opening import open_reader
    from probe.experiments.classification import ClassifyOptions, classify_layers
    from probe.experiments.linear_probe import LinearProbeConfig, fewest_texts

    opened = store.open()
    say(f"loading {dataset} and {model}")
    with working() as report:
        texts = load_labelled(dataset, limit, fewest_texts(folds))
        reader = open_reader(model, loading.load_options(), opened)
        options = ClassifyOptions(LinearProbeConfig(metric, folds, seed), command_line(), opened, report)
        board = classify_layers(reader, texts, layers, poolings=pooling.split(","), options=options)
    output.emit(board)
