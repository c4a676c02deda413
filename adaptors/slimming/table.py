"""The rows of a search's table."""

from collections.abc import Sequence

from surgery.speed import Speed

from adaptors.slimming.candidate import ModelSizes
from adaptors.slimming.choice import pareto_front
from adaptors.slimming.search import Attempt
from adaptors.slimming.timing import FULL_NAME, Timing
from adaptors.slimming.verdict import FinalTest
from probe.encoding.reader import LayerReader
from probe.metrics.significance import Scores
from probe.results.leaderboard import Row
from probe.results.slim import CANDIDATE, FULL, WINNER, SlimRow

__all__ = ["build_rows"]


def build_rows(
    full: LayerReader,
    sizes: ModelSizes,
    attempts: Sequence[Attempt],
    best: Attempt,
    *,
    reference: Scores,
    test: FinalTest,
    timing: Timing,
    megabytes: float,
) -> tuple[SlimRow, ...]:
    """Return the full model's row, then those of the candidates, the largest first.

    Args:
        full: The full model.
        sizes: Its sizes.
        attempts: The candidates.
        best: The chosen one.
        reference: The full model's scores on the judging queries.
        test: The scores on the test queries.
        timing: Measured times, of the full model and of candidates by name.
        megabytes: Size of the best one's saved weights.
    """
    ordered = sorted(attempts, key=lambda one: -sizes.count(one.candidate))
    estimates = [1.0, *(float(one.scores.mean() / reference.mean()) for one in ordered)]
    counts = [sizes.parameters[-1], *(sizes.count(one.candidate) for one in ordered)]
    sizes_mb = [counts[0] * 4 / 1e6, *(megabytes if one is best else sizes.megabytes(one.candidate) for one in ordered)]
    front = pareto_front(sizes_mb, estimates)
    first = SlimRow(
        model=full.model.source.name,
        role=FULL,
        blocks=sizes.depth,
        tokens=sizes.tokens,
        dim=test.full.dim or sizes.own_width,
        parameters=counts[0],
        megabytes=sizes_mb[0],
        estimate=1.0,
        front=front[0],
        **_times(timing.speeds.get(FULL_NAME), timing),
        **_tested(test.full, None),
    )
    rows = [
        SlimRow(
            model=str(one.candidate),
            role=WINNER if one is best else CANDIDATE,
            blocks=one.candidate.blocks,
            tokens=one.candidate.tokens or sizes.tokens,
            dim=test.best.dim or sizes.own_width,
            parameters=count,
            megabytes=size,
            train_seconds=one.seconds or None,
            steps=one.steps or None,
            estimate=estimate,
            front=on_front,
            **_times(timing.speeds.get(str(one.candidate)), timing),
            **(_tested(test.best, test.p_value) if one is best else {}),
        )
        for one, estimate, count, size, on_front in zip(
            ordered, estimates[1:], counts[1:], sizes_mb[1:], front[1:], strict=True
        )
    ]
    return (first, *rows)


def _times(speed: Speed | None, timing: Timing) -> dict[str, float]:
    if speed is None:
        return {}
    return {
        "speed": speed.ratio_to(timing.speeds[FULL_NAME]),
        "ms_per_query": speed.ms_per_query,
        "ms_per_document": 1000 / speed.docs_per_second,
    }


def _tested(row: Row, p_value: float | None) -> dict[str, object]:
    return {"scores": row.scores, "ci95": row.ci95, "delta": row.delta, "p_value": p_value}
