"""Time alternatives in turn, several rounds, and compare their medians."""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

__all__ = ["Comparison", "compare", "run_python"]


@dataclass(frozen=True)
class Comparison:
    """Seconds of several alternatives, measured in turn.

    Attributes:
        name: What was compared.
        seconds: Every round's seconds per alternative; the first is ours.
    """

    name: str
    seconds: dict[str, list[float]]

    def medians(self) -> dict[str, float]:
        """Return the median seconds per alternative."""
        return {label: statistics.median(times) for label, times in self.seconds.items()}

    def ratio(self) -> float:
        """Return ours divided by the other's, in medians."""
        ours, theirs = list(self.medians().values())
        return ours / theirs


def compare(name: str, alternatives: Mapping[str, Callable[[], object]], rounds: int) -> Comparison:
    """Run each alternative once to warm up, then all of them in turn, `rounds` times."""
    seconds: dict[str, list[float]] = {label: [] for label in alternatives}
    for action in alternatives.values():
        action()
    for _ in range(rounds):
        for label, action in alternatives.items():
            began = time.perf_counter()
            action()
            seconds[label].append(time.perf_counter() - began)
    return Comparison(name, seconds)


def run_python(*arguments: str) -> None:
    """Run this Python with arguments and no output."""
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
