"""Kept results per kind of machine: a measurement replaces only its own benchmarks on its own kind of machine."""

import json
import platform
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from benchmarks.inputs import dataset_name
from benchmarks.timing import Comparison

__all__ = ["SCHEMA", "KeptFile", "Measured", "machine_kind", "measured_here"]

SCHEMA = 2
Kind = dict[str, str | int]


@dataclass(frozen=True)
class Measured:
    """A comparison with what it was measured by.

    Attributes:
        benchmark: Name of the benchmark that gave it.
        comparison: The amounts.
        data: Name of the data set the texts were from.
        torch: Version of torch.
        created: Time, in ISO 8601.
    """

    benchmark: str
    comparison: Comparison
    data: str
    torch: str
    created: str

    def values(self) -> dict[str, Any]:
        """Return it as plain values, with the ratios for readers."""
        about = {name: value for name, value in vars(self).items() if name != "comparison"}
        return {**about, **asdict(self.comparison), "ratios": self.comparison.ratios()}


def measured_here(benchmark: str, comparison: Comparison) -> Measured:
    """Return a comparison as measured now, on this machine."""
    created = datetime.now(UTC).isoformat(timespec="seconds")
    return Measured(benchmark, comparison, Path(dataset_name()).stem, torch.__version__, created)


def machine_kind() -> Kind:
    """Return what ratios depend on: machines of one kind are compared with each other."""
    return {
        "processor": _processor(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "accelerator": str(torch.accelerator.current_accelerator()),
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    wanted = [
        line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "cpu family", "model\t"))
    ]
    return " ".join(dict.fromkeys(wanted)) or platform.processor()


class KeptFile:
    """The file of kept results."""

    def __init__(self, path: Path) -> None:
        """Open the file; it need not exist.

        Raises:
            ValueError: It has another form.
        """
        self._path = path
        self._machines: list[dict[str, Any]] = []
        if path.exists():
            found = json.loads(path.read_text())
            if found.get("schema") != SCHEMA:
                raise ValueError(
                    f"{path} has another form than this version reads and writes: check it out, or move it"
                )
            self._machines = found["machines"]

    def of(self, kind: Kind) -> list[Measured]:
        """Return everything kept for a kind of machine."""
        return [measured for machine in self._machines if machine["kind"] == kind for measured in _read(machine)]

    def replace(self, kind: Kind, benchmark: str, new: list[Measured]) -> None:
        """Replace the results of one benchmark on one kind of machine, and write the file."""
        machine = next((one for one in self._machines if one["kind"] == kind), None)
        if machine is None:
            machine = {"kind": kind, "results": []}
            self._machines.append(machine)
        others = [result for result in machine["results"] if result["benchmark"] != benchmark]
        machine["results"] = [*others, *(measured.values() for measured in new)]
        self._path.write_text(json.dumps({"schema": SCHEMA, "machines": self._machines}, indent=1) + "\n")


def _read(machine: dict[str, Any]) -> Iterator[Measured]:
    for result in machine["results"]:
        of_comparison = {name: result[name] for name in Comparison.__dataclass_fields__}
        comparison = Comparison(**{**of_comparison, "peers": tuple(result["peers"])})
        yield Measured(result["benchmark"], comparison, result["data"], result["torch"], result["created"])
