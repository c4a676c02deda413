"""What trimming a vocabulary dropped, and what that changes."""

from dataclasses import dataclass
from typing import Any

from surgery.vocabulary.counting import TokenChanges

__all__ = ["BeforeAfter", "TrimFacts"]


@dataclass(frozen=True)
class BeforeAfter:
    """A number of the original, and of the model with fewer tokens."""

    before: int
    after: int

    def __str__(self) -> str:
        return f"{self.before:,} -> {self.after:,}"


@dataclass(frozen=True)
class TrimFacts:
    """What was dropped, and what that changes.

    Attributes:
        tokens: Number of tokens.
        parameters: Number of parameters.
        weight_bytes: Size of the weight files.
        texts: Number of texts by name.
        keep_tokens: The number of most frequent tokens that was asked for; None for all that occur.
        changes: How the dropped tokens change these texts; not at all unless `keep_tokens` left some out.
        unseen: Estimated share of the tokens of further texts like these that were dropped: the share of dropped ones
            in these texts, and that of tokens that occur once, the Good-Turing estimate of the probability of a token
            that does not occur (Good, 1953).
    """

    tokens: BeforeAfter
    parameters: BeforeAfter
    weight_bytes: BeforeAfter
    texts: dict[str, int]
    keep_tokens: int | None
    changes: TokenChanges
    unseen: float

    @property
    def size(self) -> str:
        """The sizes, in one line."""
        megabytes = f"{self.weight_bytes.before / 1e6:.1f} -> {self.weight_bytes.after / 1e6:.1f} MB"
        return f"vocabulary {self.tokens} tokens, parameters {self.parameters}, weights {megabytes}"

    @property
    def loss(self) -> str:
        """What happens to the texts that were given, and to others, in one line."""
        changes = self.changes
        others = f"in further texts like these, about {self.unseen:.2%} of the tokens will be"
        if not changes.changed_texts:
            return f"all {changes.texts:,} texts keep their tokens; {others} split into shorter ones"
        return (
            f"{changes.share:.2%} of the tokens of the texts are split into shorter ones, in {changes.changed_texts:,} "
            f"of {changes.texts:,}; {others}"
        )

    def to_json(self) -> dict[str, Any]:
        """Return the facts as plain values."""
        return {
            "tokens": self.tokens.after,
            "original_tokens": self.tokens.before,
            "keep_tokens": self.keep_tokens,
            "texts": dict(self.texts),
            "changed_share": self.changes.share,
            "unseen_share": self.unseen,
        }
