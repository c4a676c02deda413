"""The rows of a search's table."""

from collections.abc import Sequence
from dataclasses import replace

from adaptors.candidates.candidate import ModelSizes
from adaptors.slimming.publish import weight_megabytes
from adaptors.slimming.search import Attempt
from adaptors.slimming.timing import FULL_NAME, Timing
from adaptors.slimming.verdict import FinalTest
from probe.encoding.reader import LayerReader
from probe.metrics.significance import Scores
from probe.results.charts import pareto_front
from probe.results.slim import CANDIDATE, FULL, WINNER, SlimRow

__all__ = ["build_rows"]


def build_rows(
    full: LayerReader,
    sizes: ModelSizes,
    attempts: Sequence[Attempt],
    *,
    best: Attempt,
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
    first = SlimRow(
        model=full.model.source.name,
        role=FULL,
        blocks=sizes.depth,
        tokens=sizes.tokens,
        dim=test.full.dim or sizes.own_width,
        parameters=counts[0],
        megabytes=weight_megabytes(full.model.source.folder),
    )
    rows = [
        SlimRow(
            model=str(one.candidate),
            role=WINNER if one is best else CANDIDATE,
            blocks=one.candidate.blocks,
            tokens=one.candidate.tokens or sizes.tokens,
            dim=test.best.dim or sizes.own_width,
            parameters=count,
            megabytes=megabytes if one is best else sizes.megabytes(one.candidate),
            train_seconds=one.seconds or None,
            steps=one.steps or None,
        )
        for one, count in zip(ordered, counts[1:], strict=True)
    ]
    models = [first, *rows]
    front = pareto_front([(row.megabytes, estimate) for row, estimate in zip(models, estimates, strict=True)])
    judged = [
        replace(row, estimate=estimate, front=number in front)
        for number, (row, estimate) in enumerate(zip(models, estimates, strict=True))
    ]
    return tuple(_with_times(_with_test(row, test), timing) for row in judged)


def _with_test(row: SlimRow, test: FinalTest) -> SlimRow:
    """Return a row with its scores on the test queries; only the full model and the best candidate have some."""
    tested = {FULL: test.full, WINNER: test.best}.get(row.role)
    if tested is None:
        return row
    p_value = test.p_value if row.role == WINNER else None
    return replace(row, scores=tested.scores, ci95=tested.ci95, delta=tested.delta, p_value=p_value)


def _with_times(row: SlimRow, timing: Timing) -> SlimRow:
    full = timing.speeds[FULL_NAME]
    speed = full if row.role == FULL else timing.speeds.get(row.model)
    if speed is None:
        return row
    return replace(
        row,
        speed=speed.ratio_to(full).documents.median,
        ms_per_query=speed.ms_per_query,
        ms_per_document=1000 / speed.docs_per_second,
    )
