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
        peers: Alternatives whose ratio depends on other programs alone: shown, and not guarded.
        more_is_better: Whether greater ratios are better.
    """

    name: str
    amounts: dict[str, list[float]]
    targets: dict[str, float]
    unit: str = "s"
    words: str = ""
    peers: tuple[str, ...] = ()
    more_is_better: bool = False

    def medians(self) -> dict[str, float]:
        """Return the median amount per alternative."""
        return {label: statistics.median(values) for label, values in self.amounts.items()}

    def ratios(self) -> dict[str, float]:
        """Return every other alternative's median divided by the last one's."""
        *ours, (_, reference) = self.medians().items()
        return {label: value / reference for label, value in ours}

    def ranges(self) -> dict[str, float]:
        """Return how far the ratios of single rounds lie apart; 0 for a single round.

        A round is compared with the same round of the last alternative, in which the machine was equally busy; with the
        last one's median if they had different numbers of rounds.
        """
        *ours, (_, reference) = self.amounts.items()
        return {label: _range(values, reference) for label, values in ours}

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


def _range(values: list[float], reference: list[float]) -> float:
    paired = reference if len(reference) == len(values) else [statistics.median(reference)] * len(values)
    ratios = [value / other for value, other in zip(values, paired, strict=True)]
    return max(ratios) - min(ratios)


def compare(
    name: str,
    alternatives: Mapping[str, Callable[[], object]],
    targets: Mapping[str, float],
    rounds: int = 3,
    words: str = "",
    peers: tuple[str, ...] = (),
) -> Comparison:
    """Run all alternatives in turn, `rounds` times; whoever needs a warm-up has had it."""
    seconds: dict[str, list[float]] = {label: [] for label in alternatives}
    for _ in range(rounds):
        for label, action in alternatives.items():
            began = time.perf_counter()
            action()
            seconds[label].append(time.perf_counter() - began)
    return Comparison(name, seconds, dict(targets), words=words, peers=peers)


def run_python(*arguments: str) -> None:
    """Run this Python with arguments and no output."""
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
