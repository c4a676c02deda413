"""When an encoder is good enough on several data sets: on every one of them, or on their mean."""

from collections.abc import Sequence

from probe.errors import CallError, did_you_mean
from probe.metrics.dataset_means import stratified_non_inferiority_p_values
from probe.metrics.non_inferiority import non_inferiority_p_values
from probe.metrics.significance import Scores

__all__ = ["CONDITIONS", "EVERY", "MEAN", "check_condition", "condition_p_values", "describe_condition"]

EVERY, MEAN = "every", "mean"
CONDITIONS = (EVERY, MEAN)


def check_condition(on: str) -> None:
    """Check the name of a condition.

    Raises:
        CallError: It is none of `CONDITIONS`.
    """
    if on not in CONDITIONS:
        raise CallError(f"--recommend-on {on}: {did_you_mean(on, CONDITIONS)}")


def condition_p_values(
    scores: Sequence[Scores], baselines: Sequence[Scores], margin: float, *, on: str, seed: int
) -> list[float]:
    """Return one-sided p-values against being worse than a baseline by a margin or more.

    `every` is an intersection-union test (Berger, Technometrics 1982): the null hypothesis is that an encoder is worse
    on at least one data set, and it is rejected only if the test of each data set rejects. The p-value is the largest
    of the data sets' p-values (`non_inferiority_p_values`); it needs no correction for their number. `mean` is one
    randomisation test of the mean over data sets, each with the same weight, stratified by data set.

    Args:
        scores: Per data set, one row per encoder, one value per query `(R, Q_s)`.
        baselines: Per data set, the values of the baseline for the same queries `(Q_s,)`.
        margin: Non-inferiority margin, above 0.
        on: One of `CONDITIONS`; with one data set both are the test on it.
        seed: Random seed of the tests.

    Returns:
        The p-value per row.
    """
    if on == MEAN and len(scores) > 1:
        return stratified_non_inferiority_p_values(scores, baselines, margin, seed=seed)
    own = [
        non_inferiority_p_values(rows, baseline, margin, seed=seed)
        for rows, baseline in zip(scores, baselines, strict=True)
    ]
    return [max(values) for values in zip(*own, strict=True)]


def describe_condition(on: str, sets: int) -> str:
    """Return the condition in words that follow a claim, such as ` on every set`; empty for a single data set."""
    if sets < 2:
        return ""
    return " on every set" if on == EVERY else f" on the mean of {sets} sets"
