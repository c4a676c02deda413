"""Run benchmarks, print the ratios and write them as JSON: `python -m benchmarks.run [--only NAME,...] [FILE.json]`."""

import argparse
import json
import logging
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path

import torch

from benchmarks import commands, cuts, engine, retrieval, runtimes, smaller, workers
from benchmarks.inputs import Skipped
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
    """Run, print, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", nargs="?", type=Path, help="where the JSON goes")
    parser.add_argument("--only", default=",".join(BENCHMARKS), help="some of: %(default)s")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    os.environ.update(TRANSFORMERS_VERBOSITY="error", HF_HUB_DISABLE_PROGRESS_BARS="1", OMP_WAIT_POLICY="PASSIVE")
    results: list[Comparison] = []
    for name in arguments.only.split(","):
        try:
            results += print_results(name)
        except Skipped as reason:
            sys.stdout.write(f"SKIPPED {name}: {reason}\n")
        if arguments.file:
            arguments.file.write_text(json.dumps(report(results), indent=1) + "\n")


def print_results(name: str) -> list[Comparison]:
    """Run one benchmark and print what it gives."""
    results = list(BENCHMARKS[name]())
    sys.stdout.write("\n".join(line for result in results for line in result.lines()) + "\n")
    sys.stdout.flush()
    return results


def report(results: list[Comparison]) -> dict[str, object]:
    """Return the results as plain values, with the machine they were measured on."""
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "processor": _processor(),
            "threads": torch.get_num_threads(),
            "capability": torch.backends.cpu.get_cpu_capability(),
            "accelerator": str(torch.accelerator.current_accelerator()),
            "torch": torch.__version__,
        },
        "results": [
            {"name": r.name, "ratios": r.ratios(), "targets": r.targets, r.unit: r.amounts, "words": r.words}
            for r in results
        ],
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    wanted = [
        line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "cpu family", "model\t"))
    ]
    return " ".join(dict.fromkeys(wanted)) or platform.processor()


if __name__ == "__main__":
    main()
