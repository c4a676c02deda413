"""The final test of the best candidate against the full model, and the demands it does not meet."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from adaptors.choosing.nearest import SIGNIFICANT, resolution
from adaptors.encoders.specs import rank
from adaptors.slimming.goal import SlimGoal
from probe.data.dataset import Dataset
from probe.experiments.options import RunOptions
from probe.metrics.non_inferiority import non_inferiority_p_values
from probe.results.leaderboard import Leaderboard, Row

__all__ = ["FinalTest", "list_unmet", "take_test"]

_BEST = "smaller"


@dataclass(frozen=True, eq=False)
class FinalTest:
    """The best candidate and the full model on the test queries.

    Attributes:
        full: Row of the full model.
        best: Row of the candidate.
        margin: Non-inferiority margin; None if no quality is demanded.
        p_value: p-value of the test at that margin.
        resolution: The smallest margin that the queries could show for a candidate that is equal on average.
        board: Both as a leaderboard.
    """

    full: Row
    best: Row
    margin: float | None
    p_value: float | None
    resolution: float
    board: Leaderboard


def take_test(model: str, folder: Path, dataset: Dataset, *, goal: SlimGoal, options: RunOptions) -> FinalTest:
    """Rank a candidate beside the full model on the test queries.

    Args:
        model: The full model.
        folder: The candidate's folder.
        dataset: The data set.
        goal: The goal.
        options: Metric, seed, store and progress.
    """
    board = rank([model, f"{_BEST}={folder}"], dataset, baseline=model, options=options)
    scored = zip(board.rows, map(np.array, board.query_scores or ()), strict=True)
    # Only the baseline has no difference to itself.
    (full, reference), (best, scores) = sorted(scored, key=lambda one: one[0].delta is not None)
    margin = goal.margin(float(reference.mean()))
    p_value = None
    if margin is not None:
        (p_value,) = non_inferiority_p_values(scores[None], reference, margin, seed=options.seed)
    return FinalTest(full, best, margin, p_value, resolution([(scores - reference)[None]]), board)


def list_unmet(
    goal: SlimGoal, test: FinalTest, *, queries: int, ms_per_query: float | None, megabytes: float
) -> list[str]:
    """Return the demands that a candidate is not shown to meet, as sentences without a full stop."""
    unmet = []
    if test.margin is not None and test.p_value is not None and not test.p_value < SIGNIFICANT:
        unmet.append(_describe_quality(goal, test, queries))
    if goal.max_ms is not None and ms_per_query is not None and ms_per_query > goal.max_ms:
        unmet.append(f"{ms_per_query:.2f} ms per query were measured, {goal.max_ms:g} allowed")
    if goal.max_mb is not None and megabytes > goal.max_mb:
        unmet.append(f"its weights have {megabytes:.1f} MB, {goal.max_mb:g} allowed")
    return unmet


def _describe_quality(goal: SlimGoal, test: FinalTest, queries: int) -> str:
    full = next(iter(test.full.scores.values()))
    if not full:
        return f"the full model finds nothing on {queries} test queries, so there is nothing to keep"
    share = 1 + (test.best.delta or 0.0) / full
    demanded = f"at least {100 * (goal.keep or 0):.4g}% is demanded"
    words = f"it keeps {share:.1%} of the full model's score on {queries} test queries, {demanded}"
    if (test.best.delta or 0.0) > -(test.margin or 0.0):
        return f"{words}, but these queries can only show margins of about {test.resolution:.2g} or more"
    return words
