"""Whole commands: start-up, a warm run from the store, memory of the streaming sweep."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.inputs import Skipped, dataset_name, write_corpus, write_tiny_model
from benchmarks.timing import Comparison, compare, run_python

__all__ = ["start_up", "streaming_memory", "warm_run"]

SIZES = (5_000, 500_000, 50_000)
HELP = "from cli import probe_app; probe_app(['--help'])"


def start_up() -> Iterator[Comparison]:
    """`probe --help` against a bare start of Python."""
    alternatives = {"probe --help": lambda: run_python("-c", HELP), "python -c pass": lambda: run_python("-c", "pass")}
    yield compare("start-up", alternatives, {}, rounds=9)


def warm_run() -> Iterator[Comparison]:
    """`probe layers` on a filled store against the run that filled it, and against the imports it cannot do without."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["layers", "--dataset", dataset_name(), "--pooling", "mean,cls", "--store", folder]
        command = f"from cli import probe_app; probe_app({arguments!r})"
        cold = compare("cold", {"cold": lambda: run_python("-c", command)}, {}, rounds=1)
        alternatives = {
            "warm probe layers": lambda: run_python("-c", command),
            "start-up alone (import torch, pytrec_eval)": lambda: run_python("-c", "import torch, pytrec_eval"),
        }
        warm = compare("", alternatives, {}, rounds=5, peers=("start-up alone (import torch, pytrec_eval)",))
    words = "aim: at most 4 s for the warm run in all"
    amounts = {**warm.amounts, "cold probe layers": cold.amounts["cold"]}
    yield Comparison("run from the store", amounts, {}, words=words, peers=warm.peers)


def streaming_memory() -> Iterator[Comparison]:
    """Peak memory of `probe layers --no-store` on 5 k, 500 k and 50 k texts; the last is the reference."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        model = write_tiny_model(root / "model")
        peaks = {}
        for size in SIZES:
            data = write_corpus(root / str(size), size)
            peaks[f"{size:,} texts"] = [
                _peak_memory(["layers", "-m", str(model), "-d", str(data), "--no-store"], root / "peak")
            ]
    yield Comparison("peak memory of the streaming sweep", peaks, {"500,000 texts": 1.10}, unit="MB")


# A process's own account: what wait4 tells of a child begins with the memory of the parent it was forked from.
_CHILD = """
import sys
from pathlib import Path
from cli import probe_app
try:
    probe_app({arguments!r})
finally:
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    Path({out!r}).write_text(status["VmHWM"].split()[0])
"""


def _peak_memory(arguments: list[str], out: Path) -> float:
    """Return the largest resident set of a command, in megabytes."""
    if not Path("/proc/self/status").exists():
        raise Skipped("peak memory is read from /proc, which this system does not have")
    run_python("-c", _CHILD.format(arguments=arguments, out=str(out)))
    return int(out.read_text()) / 1024
