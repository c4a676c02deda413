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
        unseen: Estimated share of the tokens of further texts like these that are split differently: as many as in
            these, and the share of tokens that occur once here, the Good-Turing estimate of the probability of one that
            does not occur (Good, 1953).
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
        changes, of = self.changes, f"these {sum(self.texts.values()):,} texts"
        others = f"about {self.unseen:.2%} in further texts like these"
        if not changes.changed_texts:
            return f"tokens split differently: none in {of}, {others}"
        return (
            f"tokens split differently: {changes.share:.2%} in {of}, of which "
            f"{changes.changed_texts / changes.texts:.0%} have one, and {others}"
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
