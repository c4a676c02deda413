"""Run benchmarks and fail where a ratio is worse than the kept one: `python -m benchmarks.check [--only NAME,...]`.

The exit code is 1 where a ratio is worse by more than its spread, and where one could not be compared: nothing is kept
for it, or its rounds differ by more than half of it.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import run
from benchmarks.inputs import Skipped
from benchmarks.kept import KeptFile, Kind, Measured, machine_kind, measured_here
from benchmarks.timing import Comparison

__all__ = ["Verdict", "check", "judge"]

# Least spread, as a share of the kept ratio: from one day to another, ratios move more than within a measurement.
FLOOR = 0.05
# The same where a single round tells nothing of the spread.
FLOOR_OF_ONE_ROUND = 0.10
# Spreads above this share of the kept ratio hide losses that matter.
TOO_WIDE = 0.5


@dataclass(frozen=True)
class Verdict:
    """A ratio beside the kept one.

    Attributes:
        name: What was compared.
        kept: The kept ratio.
        now: The ratio of this run.
        spread: By how much the two may differ.
        is_worse: Whether it is worse by more than that.
    """

    name: str
    kept: float
    now: float
    spread: float
    is_worse: bool

    @property
    def is_noisy(self) -> bool:
        """Whether the rounds differ too much to tell."""
        return self.spread > TOO_WIDE * self.kept

    def __str__(self) -> str:
        word = "WORSE" if self.is_worse else "NOISY" if self.is_noisy else "ok"
        return f"{word:<8} {self.name}: kept {self.kept:.3f}, now {self.now:.3f}, spread {self.spread:.3f}"


def judge(kept: Comparison, now: Comparison) -> Iterator[Verdict]:
    """Compare the guarded ratios of a run with the kept ones.

    The spread is the sum of both ranges over rounds, the distance at which all rounds of one are apart from all of the
    other if they lie around their medians alike. With normal noise, three rounds are called worse by chance in 0.7 %
    of cases, five in less than 0.01 %; with the greater of the two ranges, three rounds would be in 3 %.
    """
    ranges, ranges_now = kept.ranges(), now.ranges()
    *_, reference = now.amounts
    for label, ratio in now.ratios().items():
        if label in now.peers or label not in ranges:
            continue
        before = kept.ratios()[label]
        alone = min(len(one.amounts[label]) for one in (kept, now)) == 1
        spread = max(ranges[label] + ranges_now[label], (FLOOR_OF_ONE_ROUND if alone else FLOOR) * before)
        loss = before - ratio if now.more_is_better else ratio - before
        yield Verdict(f"{now.name}: {label} / {reference}", before, ratio, spread, loss > spread)


def check(names: list[str], file: KeptFile, kind: Kind) -> bool:
    """Run benchmarks and print a line per ratio.

    Returns:
        Whether no ratio is worse, every one was compared, and at least one was.
    """
    kept = [measured for measured in file.of(kind) if measured.benchmark in names]
    known = {measured.benchmark for measured in kept}
    unknown = [name for name in names if name not in known]
    lines: list[str] = []
    if unknown:
        lines = [
            f"NOT KEPT {', '.join(unknown)}: not run, as nothing is kept for this kind of machine ({_words(kind)})",
            f"         to keep it: make bench ONLY={','.join(unknown)}",
        ]
    for name in filter(known.__contains__, names):
        try:
            new = [measured_here(name, comparison) for comparison in run.print_results(name)]
        except Skipped as reason:
            _say(f"SKIPPED  {name}: {reason}")
            continue
        lines += _compare(name, [measured for measured in kept if measured.benchmark == name], new)
    for line in lines or ["NOT KEPT nothing was compared"]:
        _say(line)
    return bool(lines) and all(line.startswith("ok ") for line in lines)


def _compare(name: str, kept: list[Measured], new: list[Measured]) -> Iterator[str]:
    """Yield a line per guarded ratio of a benchmark, and per ratio without a counterpart."""
    before = {measured.comparison.name: measured for measured in kept}
    for measured in new:
        now, old = measured.comparison, before.pop(measured.comparison.name, None)
        if old is None:
            yield f"NOT KEPT {now.name}: to keep it: make bench ONLY={name}"
        elif old.data != measured.data:
            yield f"NOT KEPT {now.name}: kept with the texts of {old.data}, now {measured.data}"
        else:
            versions = "" if old.torch == measured.torch else f" (kept with torch {old.torch}, now {measured.torch})"
            yield from (f"{verdict}{versions}" for verdict in judge(old.comparison, now))
            for label in sorted((now.ratios().keys() ^ old.comparison.ratios().keys()) - {*now.peers}):
                yield f"NOT KEPT {now.name}: {label} is in one of the two measurements: make bench ONLY={name}"
    for missing in before:
        yield f"MISSING  {missing}: kept, and not measured by '{name}' any more: make bench ONLY={name}"


def _words(kind: Kind) -> str:
    return f"{kind['processor']}, {kind['capability']}, {kind['threads']} threads, accelerator {kind['accelerator']}"


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    """Run and compare."""
    names, file = run.parse(__doc__ or "", Path(__file__).parent / "results.json")
    sys.exit(not check(names, file, machine_kind()))


if __name__ == "__main__":
    main()
