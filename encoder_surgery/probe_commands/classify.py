"""The command `probe classify`."""

from typing import Annotated, Literal

from encoder_surgery.shell import options as option
from encoder_surgery.shell.app import flag, friendly
from encoder_surgery.shell.output import ResultFlags, command_line, say
from encoder_surgery.shell.panels import MAIN_PANEL
from encoder_surgery.shell.progress import working

__all__ = ["classify"]

Labelled = Annotated[
    str, flag("docstrings, or a .jsonl or .csv file with text and label.", "--dataset", "-d", panel=MAIN_PANEL)
]


@friendly
def classify(
    model: option.Model = "minilm",
    dataset: Labelled = "docstrings",
    layers: option.Layers = "all",
    pooling: option.Poolings = "own",
    metric: Annotated[Literal["accuracy", "macro-f1"], flag("Ranks the layers and chooses the penalty.")] = "accuracy",
    folds: Annotated[int, flag("Folds of the outer cross-validation.", min=2)] = 5,
    limit: option.TextLimit = None,
    seed: option.Seed = 0,
    *,
    loading: option.TextFlags,
    output: ResultFlags,
    store: option.StoreFlags,
) -> None:
    """Train a linear probe on every layer to see which labels its vectors encode.

    Logistic regression, scored on held-out folds; its penalty is chosen inside the training folds. The same with
    shuffled labels shows the chance level.
    """
    output.check("classify")
    from probe.experiments.classification import classify_layers
    from probe.experiments.linear_probe import fewest_texts
    from probe.experiments.options import RunOptions
    from probe.sources.labelled_texts import load_labelled_texts

    opened = store.open()
    say(f"loading {dataset} and {model}")
    with working() as report:
        texts = load_labelled_texts(dataset, limit, fewest_texts(folds))
        options = RunOptions(
            seed=seed, command=command_line(), store=opened, progress=report, load=loading.load_options()
        )
        poolings = pooling.split(",")
        board = classify_layers(model, texts, layers, poolings=poolings, metric=metric, folds=folds, options=options)
    output.emit(board)
