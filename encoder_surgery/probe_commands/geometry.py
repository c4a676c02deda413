"""The command `probe geometry`."""

from dataclasses import replace

from encoder_surgery.shell import options as option
from encoder_surgery.shell.app import friendly
from encoder_surgery.shell.datasets import check_failed
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
    output.check("geometry", several=data.is_several)
    from probe.encoding.hookpoints import select_hookpoints
    from probe.encoding.opening import open_reader
    from probe.experiments.geometry import measure_datasets
    from probe.experiments.options import RunOptions
    from probe.experiments.ranking import Candidate

    names = list(dict.fromkeys(model))
    options = RunOptions(command=command_line(), store=store.open(), load=loading.load_options())
    say(f"loading {', '.join(data.names)} and {', '.join(names)}")
    with working() as report:
        loaded = data.load()
        output.check_columns("geometry", [one.label for one in loaded.found])
        readers = [open_reader(name, options.load, options.store) for name in names]
        candidates = [Candidate(one, select_hookpoints(one.model, layers, pooling.split(","))) for one in readers]
        board = measure_datasets(
            candidates,
            {one.label: one.dataset for one in loaded.found},
            replace(options, progress=report),
            failed=loaded.failed if loaded.keep_going else None,
        )
    output.emit(board)
    check_failed(board)
