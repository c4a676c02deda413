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
    """Amounts of several alternatives, measured in turn.

    Attributes:
        name: What was compared.
        amounts: Every round's amount per alternative; the last alternative is what the others are compared with.
        targets: Greatest ratio aimed at, per alternative, where there is an aim.
        unit: Of the amounts.
        words: What else is worth knowing.
    """

    name: str
    amounts: dict[str, list[float]]
    targets: dict[str, float]
    unit: str = "s"
    words: str = ""

    def medians(self) -> dict[str, float]:
        """Return the median amount per alternative."""
        return {label: statistics.median(values) for label, values in self.amounts.items()}

    def ratios(self) -> dict[str, float]:
        """Return every other alternative's median divided by the last one's."""
        *ours, (_, reference) = self.medians().items()
        return {label: value / reference for label, value in ours}

    def lines(self) -> list[str]:
        """Return what is printed: a line per ratio, with the amounts behind it."""
        medians = self.medians()
        reference = list(medians)[-1]
        amounts = ", ".join(f"{label} {value:.3f} {self.unit}" for label, value in medians.items())
        shown = [
            f"{ratio:6.2f}{self._aim(label):>8}  {self.name}: {label} / {reference}"
            for label, ratio in self.ratios().items()
        ]
        return [*shown, f"{'':16}({amounts})", *([f"{'':16}{self.words}"] if self.words else [])]

    def _aim(self, label: str) -> str:
        return f"≤ {self.targets[label]:.2f}" if label in self.targets else ""


def compare(
    name: str,
    alternatives: Mapping[str, Callable[[], object]],
    targets: Mapping[str, float],
    rounds: int = 3,
    words: str = "",
) -> Comparison:
    """Run all alternatives in turn, `rounds` times; whoever needs a warm-up has had it."""
    seconds: dict[str, list[float]] = {label: [] for label in alternatives}
    for _ in range(rounds):
        for label, action in alternatives.items():
            began = time.perf_counter()
            action()
            seconds[label].append(time.perf_counter() - began)
    return Comparison(name, seconds, dict(targets), words=words)


def run_python(*arguments: str) -> None:
    """Run this Python with arguments and no output."""
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
