"""Penalties added to any loss: of vectors that are all alike, or that mostly point along one axis."""

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

# Keeps the gradient of the root finite where all entries are equal.
_TINY = 1e-4


class PenalizedLoss(nn.Module, ABC):
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
            cached.calculate_loss = _PenalizedCache(cached.calculate_loss, self)

    @property
    def calculate_loss(self) -> Any:
        """The calculation inside the gradient cache, penalty included; a loss around this one changes it."""
        return self._cached.calculate_loss

    @calculate_loss.setter
    def calculate_loss(self, calculate: Any) -> None:
        self._cached.calculate_loss = calculate

    @property
    def _cached(self) -> Any:
        cached = _cached_part(self.loss)
        if cached is None:
            raise AttributeError(f"the loss in this {type(self).__name__} has no gradient cache")
        return cached

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


class _PenalizedCache:
    """The calculation inside a gradient cache, with the penalty and its gradients added."""

    def __init__(self, calculate: Any, owner: PenalizedLoss) -> None:
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


class CollapseGuard(PenalizedLoss):
    """A loss and weight * G, G being 0 while the matrix of cosines separates texts, and near 1 where it is constant.

    S is the cosines of the first column with the second (of the only one with itself). Let sigma(x) be the standard
    deviation of a row or column of S, divided by sqrt(B - 1) / B, that of one 1 among zeros, as orthogonal pairs have
    it: G = mean over all rows and columns x of max(0, 1 - sigma(x) / floor).

    A cross entropy over S cannot tell equal vectors from opposite ones: a constant added to a row changes nothing. The
    hinge on a standard deviation is VICReg's (Bardes et al., ICLR 2022, equation 1), there of every dimension, here of
    cosines, so that rotations change nothing.

    Attributes:
        floor: The share of the spread of orthogonal pairs below which the guard acts.
    """

    floor = 0.5

    def penalty(self, embeddings: Sequence[Tensor]) -> Tensor:
        """Return G of the first two columns, each `(B, D)`."""
        return _low_spread_penalty(cosines(embeddings[0], embeddings[min(1, len(embeddings) - 1)]), self.floor)


class SpectralFlattening(PenalizedLoss):
    """A loss and weight * F, F the share of the greatest eigenvalue of the Gram matrix beyond what it must have.

    With U the unit vectors of one column `(B, D)`, the eigenvalues of U U^T / B sum to 1; the greatest is 1 / r at
    least, r = min(B, D), and 1 where all vectors lie on one axis:
    F = mean over columns of (greatest - 1 / r) / (1 - 1 / r).

    That contrastive losses flatten the spectrum by keeping down a bound of that eigenvalue is shown by Gao et al.
    (SimCSE, EMNLP 2021, section 5); this keeps down the eigenvalue itself.
    """

    def penalty(self, embeddings: Sequence[Tensor]) -> Tensor:
        """Return F of all columns, each `(B, D)`."""
        return torch.stack([_top_eigen_share(column) for column in embeddings]).mean()


class OrthogonalRegularization(PenalizedLoss):
    """A loss and weight * R, sentence-transformers' `GlobalOrthogonalRegularizationLoss` of the same vectors.

    R = mean over columns of M_1^2 + max(0, M_2 - 1/D), M_1 and M_2 the mean and the mean square of the cosines of
    different texts (Zhang et al., ICCV 2017).
    """

    def penalty(self, embeddings: Sequence[Tensor]) -> Tensor:
        """Return R of all columns, each `(B, D)`."""
        return _total(GlobalOrthogonalRegularizationLoss(self.model).compute_loss_from_embeddings(list(embeddings)))  # type: ignore[arg-type]


def _low_spread_penalty(scores: Tensor, floor: float) -> Tensor:
    """Return by how much rows and columns of cosines `(B, B)` vary too little, from 0 to 1; 0 for one text alone."""
    count = len(scores)
    if count == 1:
        return scores.sum() * 0
    orthogonal = (count - 1) / count**2
    variances = torch.cat([scores.var(dim=dim, correction=0) for dim in (0, 1)])
    return relu(1 - (variances / orthogonal + _TINY).sqrt() / floor).mean()


def _top_eigen_share(vectors: Tensor) -> Tensor:
    """Return F of `(B, D)`: 0 where the vectors are spread evenly over all axes they could have, 1 on one axis."""
    units = normalize(vectors, dim=1)
    count, width = units.shape
    gram = (units @ units.T if count <= width else units.T @ units) / count
    if min(count, width) == 1:
        return gram.sum() * 0
    least = 1 / min(count, width)
    greatest: Tensor = torch.linalg.eigvalsh(gram)[-1]
    return (greatest - least) / (1 - least)
