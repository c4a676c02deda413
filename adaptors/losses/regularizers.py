"""Regularization terms for any loss: against collapsed embeddings and dominant directions."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from sentence_transformers.sentence_transformer.losses import GlobalOrthogonalRegularizationLoss
from torch import Tensor, nn
from torch.nn.functional import normalize, relu

from adaptors.losses.pairwise import full_precision
from adaptors.losses.states import Features, cosines

__all__ = [
    "CollapseGuard",
    "OrthogonalRegularization",
    "PenalizedLoss",
    "SpectralFlattening",
]

# Keeps the gradient of the square root finite if all entries are equal.
_TINY = 1e-4


class PenalizedLoss(nn.Module, ABC):
    """A loss plus a weighted penalty.

    The penalty uses the embeddings of the inner loss, captured with a forward hook. For losses with a gradient cache
    the penalty is computed inside the cache, where all embeddings of the batch are available.

    Attributes:
        model: The model of the inner loss.
        loss: The inner loss, of sentence-transformers or of this package.
        weight: Weight of the penalty.
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
            cached.calculate_loss = _PenalizedCache(cached.calculate_loss, self)

    @property
    def calculate_loss(self) -> Any:
        """The loss computation inside the gradient cache, penalty included; an outer loss may replace it."""
        return self._cached.calculate_loss

    @calculate_loss.setter
    def calculate_loss(self, calculate: Any) -> None:
        """Replace the computation; the new one calls the old one."""
        self._cached.calculate_loss = calculate

    @property
    def _cached(self) -> Any:
        cached = _cached_part(self.loss)
        if cached is None:
            raise AttributeError(f"the loss in this {type(self).__name__} has no gradient cache")
        return cached

    @abstractmethod
    def penalty(self, embeddings: Sequence[Tensor]) -> Tensor:
        """Return the unweighted penalty for embeddings, one `(B, D)` per column."""

    def forward(self, sentence_features: Features, labels: Tensor | None = None) -> Tensor:
        """Return the loss plus the weighted penalty."""
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


class _PenalizedCache:
    """The loss computation of a gradient cache, with the penalty and its gradients added."""

    def __init__(self, calculate: Any, owner: PenalizedLoss) -> None:
        self.calculate = calculate
        # Only the method is stored: the owner as a submodule would be a reference cycle.
        self.penalty = owner.penalty
        self.weight = owner.weight

    def __call__(self, reps: Any, *args: Any, with_backward: bool = False, **named: Any) -> Tensor:
        found: Tensor = self.calculate(reps, *args, with_backward=with_backward, **named)
        extra = self.weight * self.penalty([full_precision(torch.cat(list(parts))) for parts in reps])
        if with_backward and extra.requires_grad:
            extra.backward()  # type: ignore[no-untyped-call]
        return found + extra.detach() if with_backward else found + extra


def _cached_part(loss: nn.Module) -> Any:
    """Return the innermost loss with a gradient cache, or None."""
    inside: Any = loss
    while inside is not None and getattr(inside, "uses_gradient_cache", False):
        if hasattr(inside, "calculate_loss"):
            return inside
        inside = getattr(inside, "loss", None)
    return None


def _split(caught: Sequence[Tensor], columns: int) -> list[Tensor]:
    """Return the first embeddings of each column: some losses embed all columns at once, some embed them repeatedly."""
    rows = len(caught[0])
    whole: list[Tensor] = []
    for part in caught:
        whole += torch.split(part, rows)
    if len(whole) < columns:
        raise ValueError(f"expected embeddings of {columns} columns, captured {len(whole)}")
    return whole[:columns]


def _total(found: Tensor | dict[str, Tensor]) -> Tensor:
    return torch.stack(list(found.values())).sum() if isinstance(found, dict) else found


class CollapseGuard(PenalizedLoss):
    """A loss + weight * G, where G is 0 if the cosines separate the texts and close to 1 if they are all equal.

    S is the cosine matrix of the first and the second column (of a single column with itself). sigma(x) is the standard
    deviation of a row or column of S, relative to that of orthogonal pairs, sqrt(B - 1) / B:
    G = mean over all rows and columns x of max(0, 1 - sigma(x) / floor).

    A cross entropy over S does not change if a constant is added to a row, so it does not notice that all cosines drift
    together. The hinge on a standard deviation is VICReg's (Bardes et al., ICLR 2022, equation 1), applied to cosines
    instead of dimensions, which makes it invariant to rotations.

    Attributes:
        floor: Spread, relative to orthogonal pairs, below which the penalty is positive.
    """

    floor = 0.5

    def penalty(self, embeddings: Sequence[Tensor]) -> Tensor:
        """Return G for the first two columns, each `(B, D)`."""
        return _low_spread_penalty(cosines(embeddings[0], embeddings[min(1, len(embeddings) - 1)]), self.floor)


class SpectralFlattening(PenalizedLoss):
    """A loss + weight * F, where F is the normalized largest eigenvalue of the Gram matrix.

    With U the unit vectors of one column `(B, D)`, the eigenvalues of U U^T / B sum to 1. The largest is between 1 / r,
    r = min(B, D), and 1, if all vectors lie on one axis:
    F = mean over columns of (largest - 1 / r) / (1 - 1 / r).

    Gao et al. (SimCSE, EMNLP 2021, section 5) show that contrastive losses flatten the spectrum by reducing an upper
    bound of the largest eigenvalue; this loss reduces the eigenvalue itself.
    """

    def penalty(self, embeddings: Sequence[Tensor]) -> Tensor:
        """Return F over all columns, each `(B, D)`."""
        return torch.stack([_top_eigen_share(column) for column in embeddings]).mean()


class OrthogonalRegularization(PenalizedLoss):
    """A loss + weight * R, where R is sentence-transformers' `GlobalOrthogonalRegularizationLoss`.

    R = mean over columns of M_1^2 + max(0, M_2 - 1/D), where M_1 and M_2 are the mean and the mean square of the
    cosines of different texts (Zhang et al., ICCV 2017).
    """

    def penalty(self, embeddings: Sequence[Tensor]) -> Tensor:
        """Return R over all columns, each `(B, D)`."""
        return _total(GlobalOrthogonalRegularizationLoss(self.model).compute_loss_from_embeddings(list(embeddings)))  # type: ignore[arg-type]


def _low_spread_penalty(scores: Tensor, floor: float) -> Tensor:
    """Return the penalty, from 0 to 1, for low variance in rows and columns of cosines `(B, B)`; 0 for one text."""
    count = len(scores)
    if count == 1:
        return scores.sum() * 0
    orthogonal = (count - 1) / count**2
    variances = torch.cat([scores.var(dim=dim, correction=0) for dim in (0, 1)])
    return relu(1 - (variances / orthogonal + _TINY).sqrt() / floor).mean()


def _top_eigen_share(vectors: Tensor) -> Tensor:
    """Return F of `(B, D)`: 0 for vectors spread evenly over all possible axes, 1 for vectors on one axis."""
    units = normalize(vectors, dim=1)
    count, width = units.shape
    gram = (units @ units.T if count <= width else units.T @ units) / count
    if min(count, width) == 1:
        return gram.sum() * 0
    least = 1 / min(count, width)
    greatest: Tensor = torch.linalg.eigvalsh(gram)[-1]
    return (greatest - least) / (1 - least)
