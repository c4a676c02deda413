"""A recommended layer in words, and how near the nearest is if none can be recommended."""

from dataclasses import dataclass

from adaptors.choosing.conditions import EVERY, describe_condition
from probe.layers.hookpoint import Hookpoint
from probe.results.formats import join_names

__all__ = ["HeldOutSet", "Nearest", "Recommendation", "SetDifference"]


@dataclass(frozen=True)
class HeldOutSet:
    """The held-out queries of a data set.

    Attributes:
        dataset: Its name.
        split: Their split.
        queries: Their number.
    """

    dataset: str
    split: str
    queries: int


@dataclass(frozen=True)
class SetDifference:
    """A difference to the full model on one data set.

    Attributes:
        judged: The data set.
        difference: The mean difference over its queries.
        ci95: 95 % interval of the difference; None for a single query.
    """

    judged: HeldOutSet
    difference: float
    ci95: tuple[float, float] | None

    def __str__(self) -> str:
        return f"worst on {self.judged.dataset}: {_show(self.difference, self.ci95)}"


@dataclass(frozen=True)
class Nearest:
    """The candidate that comes nearest if no candidate passes.

    Attributes:
        encoder: Its hookpoint.
        lens: Whether it uses its lens.
        difference: Its mean difference to the full model: on the mean of the data sets, or on its worst one.
        ci95: 95 % interval of the difference; None for a single query.
        passing: The smallest margin it would pass, to three decimals; None if there is none below 1.
        resolution: The smallest margin this number of queries can show for a candidate that is equal on average.
        worst: Its worst data set, if there are several.
    """

    encoder: Hookpoint
    lens: bool
    difference: float
    ci95: tuple[float, float] | None
    passing: float | None
    resolution: float
    worst: SetDifference | None = None

    @property
    def name(self) -> str:
        """The hookpoint, and whether it uses its lens."""
        return _name(self.encoder, self.lens)


@dataclass(frozen=True)
class Recommendation:
    """The cheapest encoder that passes a non-inferiority test against the full model.

    Attributes:
        encoder: Its hookpoint, or None if no candidate passes.
        lens: Whether it needs its lens.
        p_value: p-value of the non-inferiority test, Holm-corrected over all candidates.
        margin: Non-inferiority margin.
        sets: The held-out queries of every data set.
        on: `every` or `mean`: where the margin has to hold.
        nearest: The candidate that comes nearest if none passes; None without candidates.
    """

    encoder: Hookpoint | None
    lens: bool
    p_value: float | None
    margin: float
    sets: tuple[HeldOutSet, ...]
    on: str = EVERY
    nearest: Nearest | None = None

    @property
    def queries(self) -> int:
        """Number of queries used for the test."""
        return sum(one.queries for one in self.sets)

    @property
    def condition(self) -> str:
        """Where the margin has to hold, in words; empty for a single data set."""
        return describe_condition(self.on, len(self.sets))

    def words(self) -> str:
        """Return the recommendation in one sentence, or in three if no candidate passes."""
        basis = f"{self._describe_queries()}, Holm over all candidates"
        if self.encoder is not None and self.p_value is not None:
            chosen = f"{_name(self.encoder, self.lens)} is not worse than the full model by {self.margin:g}"
            return f"{chosen}{self.condition} (p {self.p_value:.2g}; {basis})"
        claim = f"no layer was shown to be within {self.margin:g} of the full model{self.condition}"
        words = f"{claim} ({basis}): keep all blocks"
        return words if self.nearest is None else f"{words}. {self._describe_nearest(self.nearest)}"

    def _describe_queries(self) -> str:
        """Return how many held-out queries there are, of every data set if there are several."""
        if len(self.sets) == 1:
            return f"{self.queries} held-out queries of {self.sets[0].split}"
        return f"held-out queries: {join_names([f'{one.queries} of {one.dataset} {one.split}' for one in self.sets])}"

    def _describe_nearest(self, nearest: Nearest) -> str:
        words = f"The nearest is {nearest.name} ({self._measure(nearest)})"
        if nearest.difference > -self.margin:
            return (
                f"{words}: within the margin on average, but {self._scarce(nearest)} are too few to show it; they can "
                f"show margins of about {nearest.resolution:.2g} or more"
            )
        if nearest.passing is None:
            return f"{words}; it passes no margin below 1{self.condition}"
        return f"{words}; the smallest margin it passes{self.condition} is {nearest.passing:g}"

    def _measure(self, nearest: Nearest) -> str:
        """Return the difference of the nearest candidate, and where it is worst."""
        if nearest.worst is None:
            return _show(nearest.difference, nearest.ci95)
        if self.on == EVERY:
            return str(nearest.worst)
        return f"{_show(nearest.difference, nearest.ci95)}{self.condition}; {nearest.worst}"

    def _scarce(self, nearest: Nearest) -> str:
        """Return the queries that are too few."""
        if nearest.worst is None or self.on != EVERY:
            return f"{self.queries} queries"
        return f"{nearest.worst.judged.queries} queries of {nearest.worst.judged.dataset}"


def _name(encoder: Hookpoint, lens: bool) -> str:
    return f"{encoder} with its lens" if lens else str(encoder)


def _show(difference: float, ci95: tuple[float, float] | None) -> str:
    return f"{difference:+.4f}" + ("" if ci95 is None else f", 95% CI {ci95[0]:+.3f} to {ci95[1]:+.3f}")
