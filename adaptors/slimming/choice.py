"""The choice among candidates, by forecasts from short trainings."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

from probe.metrics.significance import Scores

__all__ = ["Forecast", "forecast", "pick"]

# One-sided level of the final test, and the power it should have: the probability of passing.
_LEVEL, _POWER = 0.05, 0.8
_QUANTILE = NormalDist().inv_cdf(1 - _LEVEL) + NormalDist().inv_cdf(_POWER)


@dataclass(frozen=True)
class Forecast:
    """The expected result of a full training.

    Attributes:
        difference: Mean difference to the full model.
        error: Standard error of that difference on the test queries.
    """

    difference: float
    error: float

    def slack(self, margin: float) -> float:
        """Return by how much it is expected to pass a non-inferiority test with a power of 80 %.

        Negative if it is not expected to.
        """
        return self.difference + margin - _QUANTILE * self.error


def forecast(scores: Scores, reference: Scores, *, trained: float, more: float, queries: int) -> Forecast:
    """Forecast the result of more training.

    The loss of a distilled model falls about as the inverse square root of its training time, and the spread of the
    differences with it.

    Args:
        scores: Scores of the candidate on the judging queries `(Q,)`.
        reference: Those of the full model.
        trained: Seconds it was trained.
        more: Seconds it would be trained in addition.
        queries: Number of test queries.
    """
    differences = scores - reference
    shrink = (trained / (trained + more)) ** 0.5 if trained + more else 1.0
    mean = float(differences.mean())
    spread = float(differences.std(ddof=1)) if len(differences) > 1 else 0.0
    return Forecast(mean * shrink if mean < 0 else mean, spread * shrink / max(1, queries) ** 0.5)


def pick(slacks: Sequence[float], differences: Sequence[float], count: int) -> list[int]:
    """Choose candidates to go on with, the cheapest first.

    Args:
        slacks: By how much every candidate is expected to pass, the cheapest first.
        differences: Their expected differences to the full model.
        count: Number to choose.

    Returns:
        Indices: the cheapest that is expected to pass with the next deeper ones, or else the best ones.
    """
    passing = next((index for index, slack in enumerate(slacks) if slack >= 0), None)
    if passing is not None:
        return [*range(passing, min(len(slacks), passing + count))]
    return sorted(sorted(range(len(slacks)), key=lambda index: -differences[index])[:count])
