"""Poolings: pure functions from token states to one vector per text.

Each takes token states `(B, T, D)` and their mask `(B, T)`, 1 for tokens and 0 for padding on either side, and returns
`(B, D)`.
"""

from collections.abc import Callable

from torch import Tensor

__all__ = ["POOLINGS", "Pooling", "pool_cls", "pool_last", "pool_max", "pool_mean"]

Pooling = Callable[[Tensor, Tensor], Tensor]


def _take(hidden: Tensor, positions: Tensor) -> Tensor:
    index = positions.view(-1, 1, 1).expand(-1, 1, hidden.shape[-1])
    return hidden.gather(1, index).squeeze(1)


def pool_cls(hidden: Tensor, mask: Tensor) -> Tensor:
    """Return the first non-padding token of every text."""
    return _take(hidden, mask.long().argmax(dim=1))


def pool_last(hidden: Tensor, mask: Tensor) -> Tensor:
    """Return the last non-padding token of every text."""
    from_the_end = mask.long().flip(1).argmax(dim=1)
    return _take(hidden, mask.shape[1] - 1 - from_the_end)


def pool_mean(hidden: Tensor, mask: Tensor) -> Tensor:
    """Return the mean over the non-padding tokens of every text; zeros for a text without tokens."""
    padding = mask.unsqueeze(-1) == 0
    return hidden.masked_fill(padding, 0.0).sum(dim=1) / mask.sum(dim=1, keepdim=True).clamp(min=1)


def pool_max(hidden: Tensor, mask: Tensor) -> Tensor:
    """Return the maximum per dimension over the non-padding tokens of every text; zeros for a text without tokens."""
    padding = mask.unsqueeze(-1) == 0
    largest = hidden.masked_fill(padding, float("-inf")).max(dim=1).values
    return largest.masked_fill(mask.sum(dim=1, keepdim=True) == 0, 0.0)


POOLINGS: dict[str, Pooling] = {"cls": pool_cls, "last": pool_last, "max": pool_max, "mean": pool_mean}
