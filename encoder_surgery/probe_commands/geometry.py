"""The command `probe geometry`."""

from typing import Annotated

from encoder_surgery.shell import options as option
from encoder_surgery.shell.app import flag, friendly
from encoder_surgery.shell.output import ResultFlags, command_line, say
from encoder_surgery.shell.progress import working

__all__ = ["geometry"]

Models = Annotated[
    list[str] | None, flag("Alias, hub id or folder; name two to compare their layers.", "--model", "-m")
]


@friendly
def geometry(
    model: Models = None,
    layers: option.Layers = "all",
    pooling: option.Poolings = "own",
    *,
    data: option.DataFlags,
    loading: option.EncodeFlags,
    store: option.StoreFlags,
    output: ResultFlags,
) -> None:
    """Measure every layer's vectors: anisotropy, rank, spectrum, norms, alignment; and how alike layers are."""
    output.check()
    from probe.experiments.geometry import measure_geometry
    from probe.experiments.options import RunOptions

    names = list(dict.fromkeys(model or ["minilm"]))
    opened = store.open()
    say(f"loading {data.dataset} and {', '.join(names)}")
    with working() as report:
        texts = data.load()
        options = RunOptions(command=command_line(), store=opened, progress=report, load=loading.load_options())
        board = measure_geometry(names, texts, layers, poolings=pooling.split(","), options=options)
    output.emit(board)
