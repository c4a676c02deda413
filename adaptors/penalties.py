"""What may be added to any loss: a penalty of the vectors of the same batch, which are not computed again."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from adaptors.losses import Features
from adaptors.pair_losses import full_precision

__all__ = ["PenalisedLoss"]


class PenalisedLoss(nn.Module, ABC):
    """A loss and a weighted penalty.

    The vectors are those that the inner loss computes: they are caught as they leave the model. A loss with a gradient
    cache has its penalty inside the cache, where all vectors are at hand.

    Attributes:
        model: The model of the inner loss.
        loss: The inner loss, of sentence-transformers or of ours.
        weight: Of the penalty.
    """

    def __init__(self, model: nn.Module, loss: nn.Module, weight: float = 1.0) -> None:
        """Add a penalty to a loss of a model."""
        super().__init__()
        self.model = model
        self.loss = loss
        self.weight = weight
        cached = _cached_part(loss)
        self.uses_gradient_cache = cached is not None
        if cached is not None:
            cached.calculate_loss = _PenalisedCache(cached.calculate_loss, self)

    @abstractmethod
    def penalty(self, embeddings: Sequence[Tensor]) -> Tensor:
        """Return the penalty of vectors, one `(B, D)` per column, before it is weighted."""

    def forward(self, sentence_features: Features, labels: Tensor | None = None) -> Tensor:
        """Return the sum of both."""
        columns = list(sentence_features)
        if self.uses_gradient_cache:
            return _total(self.loss(columns, labels))
        caught: list[Tensor] = []
        hook = self.model.register_forward_hook(
            lambda model, given, output: caught.append(output["sentence_embedding"])
        )
        try:
            found = _total(self.loss(columns, labels))
        finally:
            hook.remove()
        return found + self.weight * self.penalty([full_precision(part) for part in _split(caught, len(columns))])


class _PenalisedCache:
    """The calculation inside a gradient cache, with the penalty and its gradients added."""

    def __init__(self, calculate: Any, owner: PenalisedLoss) -> None:
        self.calculate = calculate
        # Kept out of the modules: the owner holds the loss that holds this.
        self.penalty = owner.penalty
        self.weight = owner.weight

    def __call__(self, reps: Any, *args: Any, with_backward: bool = False, **named: Any) -> Tensor:
        found: Tensor = self.calculate(reps, *args, with_backward=with_backward, **named)
        extra = self.weight * self.penalty([full_precision(torch.cat(list(parts))) for parts in reps])
        if with_backward and extra.requires_grad:
            extra.backward()  # type: ignore[no-untyped-call]
        return found + extra.detach() if with_backward else found + extra


def _cached_part(loss: nn.Module) -> Any:
    """Return the innermost loss that computes inside a gradient cache, where there is one."""
    inside: Any = loss
    while inside is not None and getattr(inside, "uses_gradient_cache", False):
        if hasattr(inside, "calculate_loss"):
            return inside
        inside = getattr(inside, "loss", None)
    return None


def _split(caught: Sequence[Tensor], columns: int) -> list[Tensor]:
    """Return the first vectors of every column: some losses embed columns together, some embed them several times."""
    rows = len(caught[0])
    whole: list[Tensor] = []
    for part in caught:
        whole += torch.split(part, rows)
    if len(whole) < columns:
        raise ValueError(f"expected the vectors of {columns} columns, caught {len(whole)}")
    return whole[:columns]


def _total(found: Tensor | dict[str, Tensor]) -> Tensor:
    return torch.stack(list(found.values())).sum() if isinstance(found, dict) else found
