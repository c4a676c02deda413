"""Linear maps from one model's space to another's, in closed form.

X are vectors of the model that is mapped, Y those of the other model for the same texts; both are centred, so that the
maps have a bias.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from adaptors.fitting.closed_form import pick_penalty
from adaptors.maps.moments import Moments
from adaptors.modules.linear import Projection

__all__ = ["LinearMap", "fit_drawn", "fit_procrustes", "fit_ridge", "fit_transposed", "reduce_rank"]

# Smallest penalty, relative to the mean eigenvalue: with fewer texts than dimensions nothing else bounds a map.
_TINY = 1e-10


@dataclass(frozen=True)
class LinearMap:
    """The map `x W + b`, in float64.

    Attributes:
        weight: W `(A, B)`.
        bias: b `(B,)`.
    """

    weight: Tensor
    bias: Tensor

    def apply(self, vectors: Tensor) -> Tensor:
        """Map vectors `(N, A)` to `(N, B)`."""
        return vectors.double() @ self.weight + self.bias

    def add(self, other: "LinearMap", factor: float) -> "LinearMap":
        """Return the sum with another map, multiplied by a factor."""
        return LinearMap(self.weight + factor * other.weight, self.bias + factor * other.bias)

    def as_module(self) -> Projection:
        """Return the map as an adaptor."""
        return Projection.of(self.weight.float(), self.bias.float())


def fit_procrustes(moments: Moments) -> LinearMap:
    """Fit the orthogonal map closest to Y: W = U V' with X'Y = U S V' (Schoenemann, Psychometrika 1966).

    If the dimensions differ, W has orthonormal rows or columns: W maximizes the trace of W'X'Y.
    """
    return _with_bias(_rotate(moments.centre()), moments)


def _rotate(centred: Moments) -> Tensor:
    left, _, right = torch.linalg.svd(centred.cross, full_matrices=False)
    rotation: Tensor = left @ right
    return rotation


def fit_ridge(moments: Moments, penalty: float | None = None) -> LinearMap:
    """Fit Y by ridge regression: W = (X'X + a)^-1 X'Y.

    Args:
        moments: Moments of the texts.
        penalty: a, relative to the mean eigenvalue of X'X; default: by generalized cross-validation.
    """
    centred = moments.centre()
    return _with_bias(_solve(centred, penalty), moments)


def fit_drawn(moments: Moments, penalty: float | None = None) -> LinearMap:
    """Fit Y by ridge regression drawn to the Procrustes map P: minimizes |XW - Y|^2 + a |W - cP|^2.

    c is the best scale of P. W = cP + (X'X + a)^-1 X'(Y - cXP): a ridge regression of what P leaves, so that the
    penalty can be chosen by generalized cross-validation in the same way.

    Args:
        moments: Moments of the texts.
        penalty: a, relative to the mean eigenvalue of X'X; default: by generalized cross-validation.
    """
    centred = moments.centre()
    rotation = _rotate(centred)
    image = centred.source @ rotation
    shared, size = (rotation * centred.cross).sum(), (rotation * image).sum()
    scaled = rotation * (shared / size)
    left = replace(centred, cross=centred.cross - centred.source @ scaled)
    return _with_bias(scaled + _solve(left, penalty, float(shared.square() / size)), moments)


def fit_transposed(moments: Moments, penalty: float | None = None) -> LinearMap:
    """Fit the map that keeps the similarities of the model that is mapped.

    With X ~ Y G, the ridge regression in the other direction, the similarity x'(G'y) of a mapped text and a text y
    estimates that of the two texts in the mapped model: W = G'. It has no bias, because a constant per mapped text does
    not change a ranking.

    Args:
        moments: Moments of the texts that are *not* mapped.
        penalty: Of the regression, relative to the mean eigenvalue of Y'Y; default: by generalized cross-validation.
    """
    centred = moments.swap().centre()
    weight = _solve(centred, penalty).T
    return LinearMap(weight, torch.zeros_like(moments.target_mean))


def _solve(centred: Moments, penalty: float | None, explained: float = 0.0) -> Tensor:
    """Return (X'X + a)^-1 X'Y; `explained` is the part of the variance of Y that is no longer in X'Y."""
    source = centred.source.clone()
    if penalty is None:
        values, axes = torch.linalg.eigh(source)
        along = (axes.T @ centred.cross).square().sum(dim=1)
        variance = float(centred.target.trace()) - explained
        chosen = pick_penalty(values.numpy(), along.numpy(), variance, free=centred.count - 1)
    else:
        chosen = max(penalty, _TINY) * float(source.trace()) / len(source)
    source.diagonal().add_(chosen)
    return torch.cholesky_solve(centred.cross, torch.linalg.cholesky(source))


def _with_bias(weight: Tensor, moments: Moments) -> LinearMap:
    return LinearMap(weight, moments.target_mean - moments.source_mean @ weight)


def reduce_rank(found: LinearMap, moments: Moments, rank: int) -> LinearMap:
    """Return the map of a lower rank whose vectors change least: reduced-rank regression (Izenman 1975).

    Args:
        found: The map W.
        moments: Moments of the texts that are mapped.
        rank: The rank; the columns of W are projected on the first principal axes of XW.
    """
    centred = moments.centre()
    _, axes = torch.linalg.eigh(found.weight.T @ centred.source @ found.weight)
    kept = axes[:, -rank:]
    weight = found.weight @ kept @ kept.T
    return LinearMap(weight, found.bias + moments.source_mean @ (found.weight - weight))
