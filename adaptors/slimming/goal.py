"""The goal of a smaller model: the quality to keep, or the time or size to stay within."""

from dataclasses import dataclass

from probe.errors import CallError, check_number

__all__ = ["DEFAULT_KEEP", "SlimGoal"]

DEFAULT_KEEP = 0.9


@dataclass(frozen=True)
class SlimGoal:
    """Demands on a smaller model, all of which have to be met.

    Attributes:
        keep: Share of the full model's score that the model has to be shown to keep; above 0 and below 1.
        max_ms: Milliseconds per query at batch size 1, at most.
        max_mb: Size of the weight files in megabytes (10^6 bytes), at most.
    """

    keep: float | None = None
    max_ms: float | None = None
    max_mb: float | None = None

    def __post_init__(self) -> None:
        """Check that the numbers are in range.

        Raises:
            CallError: One is not.
        """
        if self.keep is not None and not 0 < self.keep < 1:
            raise CallError(f"--keep {self.keep:g}: expected a share above 0 and below 1, such as 0.98")
        check_number("--max-ms", self.max_ms, above=0)
        check_number("--max-mb", self.max_mb, above=0)

    @property
    def has_limit(self) -> bool:
        """Whether time or size is limited."""
        return self.max_ms is not None or self.max_mb is not None

    def resolve(self) -> "SlimGoal":
        """Return the goal, or the default one if it demands nothing."""
        return self if self.keep is not None or self.has_limit else SlimGoal(DEFAULT_KEEP)

    def margin(self, full: float) -> float | None:
        """Return the non-inferiority margin for a score of the full model; None if no quality is demanded."""
        return None if self.keep is None else (1 - self.keep) * full

    def __str__(self) -> str:
        demands = [
            *([f"keep {100 * self.keep:.4g}% of the full model's score"] if self.keep is not None else []),
            *([f"at most {self.max_ms:g} ms per query"] if self.max_ms is not None else []),
            *([f"at most {self.max_mb:g} MB of weights"] if self.max_mb is not None else []),
        ]
        return " and ".join(demands)
