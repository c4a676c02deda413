"""Penalties of vectors that are all alike, or that mostly point along one axis; either may be added to any loss."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, relu

from adaptors.losses import cosines
from adaptors.penalties import PenalisedLoss

__all__ = ["CollapseGuard", "SpectralFlattening", "evenness_lack", "spread_lack"]

# Keeps the gradient of the root finite where all entries are equal.
_TINY = 1e-4


class CollapseGuard(PenalisedLoss):
    """A loss and weight * G, G being 0 while the matrix of cosines tells texts apart, and near 1 where it is constant.

    S is the cosines of the first column with the second (of the only one with itself). Let sigma(x) be the standard
    deviation of a row or column of S, divided by sqrt(B - 1) / B, that of one 1 among zeros, as orthogonal pairs have
    it: G = mean over all rows and columns x of max(0, 1 - sigma(x) / floor).

    A cross entropy over S cannot tell equal vectors from opposite ones: a constant added to a row changes nothing. The
    hinge on a standard deviation is VICReg's (Bardes et al., ICLR 2022, equation 1), there of every dimension, here of
    cosines, so that rotations change nothing.
    """

    def __init__(self, model: nn.Module, loss: nn.Module, weight: float = 1.0, floor: float = 0.5) -> None:
        """Guard a loss of a model.

        Args:
            model: The model of the loss.
            loss: Any loss of two columns or one.
            weight: Of the guard.
            floor: The share of the spread of orthogonal pairs below which it acts.
        """
        super().__init__(model, loss, weight)
        self.floor = floor

    def penalty(self, embeddings: Sequence[Tensor]) -> Tensor:
        """Return G of the first two columns, each `(B, D)`."""
        return spread_lack(cosines(embeddings[0], embeddings[min(1, len(embeddings) - 1)]), self.floor)


class SpectralFlattening(PenalisedLoss):
    """A loss and weight * F, F the share of the greatest eigenvalue of the Gram matrix beyond what it must have.

    With U the unit vectors of one column `(B, D)`, the eigenvalues of U U^T / B sum to 1; the greatest is 1 / r at
    least, r = min(B, D), and 1 where all vectors lie on one axis:
    F = mean over columns of (greatest - 1 / r) / (1 - 1 / r).

    That contrastive losses flatten the spectrum by keeping down a bound of that eigenvalue is shown by Gao et al.
    (SimCSE, EMNLP 2021, section 5); this keeps down the eigenvalue itself.
    """

    def penalty(self, embeddings: Sequence[Tensor]) -> Tensor:
        """Return F of all columns, each `(B, D)`."""
        return torch.stack([evenness_lack(column) for column in embeddings]).mean()


def spread_lack(scores: Tensor, floor: float) -> Tensor:
    """Return by how much rows and columns of `(B, B)` vary too little, from 0 to 1.

    Args:
        scores: Cosines, those of pairs on the diagonal.
        floor: Share of the spread of orthogonal pairs that is enough.

    Returns:
        The mean over all rows and columns; 0 for one text alone.
    """
    count = len(scores)
    if count == 1:
        return scores.sum() * 0
    orthogonal = (count - 1) / count**2
    variances = torch.cat([scores.var(dim=dim, correction=0) for dim in (0, 1)])
    return relu(1 - (variances / orthogonal + _TINY).sqrt() / floor).mean()


def evenness_lack(vectors: Tensor) -> Tensor:
    """Return F of `(B, D)`: 0 where the vectors are spread evenly over all axes they could have, 1 on one axis."""
    units = normalize(vectors, dim=1)
    count, width = units.shape
    gram = (units @ units.T if count <= width else units.T @ units) / count
    if min(count, width) == 1:
        return gram.sum() * 0
    least = 1 / min(count, width)
    greatest: Tensor = torch.linalg.eigvalsh(gram)[-1]
    return (greatest - least) / (1 - least)
