"""Run benchmarks, print the ratios and keep them: `python -m benchmarks.run [--only NAME,...] [FILE.json]`."""

import argparse
import logging
import os
import sys
from pathlib import Path
from typing import Any

from benchmarks import commands, cuts, engine, retrieval, runtimes, smaller, workers
from benchmarks.inputs import Skipped
from benchmarks.kept import KeptFile, machine_kind, measured_here
from benchmarks.timing import Comparison

BENCHMARKS = {
    "start-up": commands.start_up,
    "top-k": retrieval.top_k,
    "arithmetic": engine.arithmetic,
    "layer-by-layer": engine.against_layer_by_layer,
    "last-layer": engine.against_last_layer,
    "mpnet": engine.mpnet_against_last_layer,
    "cut": cuts.cut_minilm,
    "cut-mpnet": cuts.cut_mpnet,
    "static": smaller.static_against_model2vec,
    "static-speed": smaller.static_speed,
    "trim": smaller.trimmed_minilm,
    "runtimes": runtimes.other_runtimes,
    "memory": commands.streaming_memory,
    "warm": commands.warm_run,
    "whole-command": engine.whole_command,
    "ray": workers.two_workers,
}


def main() -> None:
    """Run, print, keep."""
    names, file = parse(__doc__ or "", None)
    for name in names:
        try:
            new = [measured_here(name, comparison) for comparison in print_results(name)]
        except Skipped as reason:
            sys.stdout.write(f"SKIPPED {name}: {reason}\n")
            continue
        if file is not None:
            file.replace(machine_kind(), name, new)


def parse(about: str, file: Path | None) -> tuple[list[str], Any]:
    """Return the names of the benchmarks to run and the file of kept results, after a quiet set-up.

    Args:
        about: Docstring of the program.
        file: The file if none is given; None: no file is needed.
    """
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("file", nargs="?", type=Path, default=file, help="file of the kept results")
    parser.add_argument("--only", default=",".join(BENCHMARKS), help="some of: %(default)s")
    arguments = parser.parse_args()
    names = list(dict.fromkeys(arguments.only.split(",")))
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"unknown benchmark '{unknown[0]}': expected some of {', '.join(BENCHMARKS)}")
    logging.disable(logging.WARNING)
    os.environ.update(TRANSFORMERS_VERBOSITY="error", HF_HUB_DISABLE_PROGRESS_BARS="1", OMP_WAIT_POLICY="PASSIVE")
    try:
        return names, KeptFile(arguments.file) if arguments.file else None
    except ValueError as error:
        parser.error(str(error))


def print_results(name: str) -> list[Comparison]:
    """Run one benchmark and print what it gives."""
    results = list(BENCHMARKS[name]())
    sys.stdout.write("\n".join(line for result in results for line in result.lines()) + "\n")
    sys.stdout.flush()
    return results


if __name__ == "__main__":
    main()
