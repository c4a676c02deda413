"""Options of a static cut."""

from dataclasses import dataclass

from probe.errors import CallError

__all__ = ["StaticOptions"]


@dataclass(frozen=True)
class StaticOptions:
    """How a static cut is fitted; the defaults were chosen on SciFact train, NFCorpus dev and the docstrings.

    Attributes:
        power: A token's prior variance is proportional to its share of all tokens to the power of -`power`: frequent
            tokens stay near their prior, rare ones move freely.
        smoothing: A token's own vector has the weight s / (s + p) in the prior, with its share p and this s.
        length: A text of n different tokens has the weight n to the power of `length`: what a few tokens mean depends
            on their context most, which no average can follow.
        penalty: Residual variance relative to the mean prior variance of a text; None to choose it by
            leave-one-out cross-validation, and to take the share of it that ranks best.
        exact_texts: Up to this many texts, the system is solved exactly, with N x N values in memory; beyond, by
            conjugate gradients, without that matrix.
        penalty_texts: Number of texts, drawn at random, that choose the penalty.
        held_out: Number of texts left out of a first fit to measure the agreement with the full model, at most a tenth.
    """

    power: float = 0.5
    smoothing: float = 1e-2
    length: float = 1.0
    penalty: float | None = None
    exact_texts: int = 20_000
    penalty_texts: int = 3_000
    held_out: int = 256

    def __post_init__(self) -> None:
        """Reject values out of range.

        Raises:
            CallError: One is.
        """
        if self.penalty is not None and not self.penalty > 0:
            raise CallError(f"penalty {self.penalty}: expected a positive number, or None to choose it")
        if not self.smoothing > 0:
            raise CallError(f"smoothing {self.smoothing}: expected a positive number")
        for name in ("exact_texts", "penalty_texts", "held_out"):
            if getattr(self, name) < 2:
                raise CallError(f"{name} {getattr(self, name)}: expected 2 or more")
