"""What a saved model has after its blocks."""

from dataclasses import dataclass

from surgery.dense import DenseLayer

__all__ = ["Finish"]


@dataclass(frozen=True)
class Finish:
    """What a saved model has after its blocks.

    Attributes:
        pooling: Its pooling.
        dense: A linear map of the pooled vectors, scaled to length 1 before and after it, if any.
        scores: How it retrieves, in Markdown, for its card.
    """

    pooling: str
    dense: DenseLayer | None = None
    scores: str = ""
