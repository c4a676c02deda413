"""The command `probe geometry`."""

from encoder_surgery.shell import options as option
from encoder_surgery.shell.app import friendly
from encoder_surgery.shell.output import ResultFlags, command_line, say
from encoder_surgery.shell.progress import working

__all__ = ["geometry"]


@friendly
def geometry(
    model: option.Models = ["minilm"],  # noqa: B006
    layers: option.Layers = "all",
    pooling: option.Poolings = "own",
    *,
    data: option.DataFlags,
    loading: option.EncodeFlags,
    output: ResultFlags,
    store: option.StoreFlags,
) -> None:
    """Measure every layer's vectors: anisotropy, rank, spectrum, norms, alignment, and similarity between layers."""
    output.check("geometry")
    from probe.experiments.geometry import measure_geometry
    from probe.experiments.options import RunOptions

    names = list(dict.fromkeys(model))
    opened = store.open()
    say(f"loading {', '.join(data.names)} and {', '.join(names)}")
    with working() as report:
        texts = data.load().found[0].dataset
        options = RunOptions(command=command_line(), store=opened, progress=report, load=loading.load_options())
        board = measure_geometry(names, texts, layers, poolings=pooling.split(","), options=options)
    output.emit(board)
