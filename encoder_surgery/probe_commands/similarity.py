"""The command `probe similarity`."""

from typing import Annotated

from encoder_surgery.shell import options as option
from encoder_surgery.shell.app import flag, friendly
from encoder_surgery.shell.output import ResultFlags, command_line, say
from encoder_surgery.shell.panels import MAIN_PANEL
from encoder_surgery.shell.progress import working

__all__ = ["similarity"]

ScoredPairsName = Annotated[
    str,
    flag("docstrings, or a .jsonl or .csv file with sentence1, sentence2, score.", "--dataset", "-d", panel=MAIN_PANEL),
]


@friendly
def similarity(
    model: option.Model = "minilm",
    dataset: ScoredPairsName = "docstrings",
    layers: option.Layers = "all",
    pooling: option.Poolings = "own",
    limit: option.TextLimit = None,
    seed: option.Seed = 0,
    *,
    loading: option.TextFlags,
    output: ResultFlags,
    store: option.StoreFlags,
) -> None:
    """Correlate cosines with the gold scores of sentence pairs at every layer (Spearman)."""
    output.check("similarity")
    from probe.experiments.options import RunOptions
    from probe.experiments.similarity import correlate_layers
    from probe.sources.scored_pairs import load_scored_pairs

    opened = store.open()
    say(f"loading {dataset} and {model}")
    with working() as report:
        pairs = load_scored_pairs(dataset, limit)
        options = RunOptions(
            seed=seed, command=command_line(), store=opened, progress=report, load=loading.load_options()
        )
        board = correlate_layers(model, pairs, layers, poolings=pooling.split(","), options=options)
    output.emit(board)
