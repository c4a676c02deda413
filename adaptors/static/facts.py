"""What a static cut was fitted to, and how close it is to the full model."""

from dataclasses import asdict, dataclass
from typing import Any

from adaptors.healing.held_out import Agreement
from adaptors.static.options import StaticOptions

__all__ = ["StaticFacts"]


@dataclass(frozen=True, kw_only=True)
class StaticFacts:
    """What a static cut was fitted to, and how close it is to the full model.

    Attributes:
        tokens: Number of tokens with a vector.
        seen_tokens: Number of tokens that occur in the texts; the vectors of all others are estimated from these and
            from what the full model makes of each token alone.
        texts: Number of different texts.
        penalty: Penalty of the ridge regression: residual variance relative to the mean prior variance of a text.
        held_out: Number of texts left out of a first fit.
        unseen: Agreement of that first fit with the full model on those texts.
        seen: Agreement of the final fit, which has seen them, on the same texts.
        data: Name of every data set, and the sha256 of its documents.
        options: Options of the fit.
        seed: Its random seed.
        labels: Split whose relevance labels a linear map of the table was trained on; `none` without one.
    """

    tokens: int
    seen_tokens: int
    texts: int
    penalty: float
    held_out: int
    unseen: Agreement
    seen: Agreement
    data: tuple[tuple[str, str], ...]
    options: StaticOptions
    seed: int
    labels: str = "none"

    def describe(self) -> str:
        """Return one line on the agreement with the full model."""
        return (
            f"against the full model's vectors of {self.held_out:,} texts: {self.unseen} if they are new, {self.seen} "
            "once they are fitted to"
        )

    def to_json(self) -> dict[str, Any]:
        """Return the facts as plain values."""
        found = asdict(self)
        return {**found, "data": [name for name, _ in self.data]}
