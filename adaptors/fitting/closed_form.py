"""Closed-form adaptors: fitted in seconds, without gradients or labels."""

import math
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adaptors.fitting.states import FitData
from adaptors.modules.linear import Projection
from probe.errors import CallError

__all__ = [
    "fit_lens",
    "fit_pca",
    "fit_spectral",
    "fit_truncate",
    "mixed_moments",
    "pick_penalty",
    "principal_axes",
    "second_moments",
    "shrink_spectrum",
    "spectral_axes",
    "whiten_targets",
]

# Ridge penalties tried, relative to the mean eigenvalue.
_PENALTIES = np.logspace(-8, 2, 41)
# Chosen on training queries of two data sets.
_POWER = 0.15
_QUERY_SHARE = 0.25
# Eigenvalues below this share of the largest are rounding errors.
_NOISE = 1e-7
# If all states are equal, any positive penalty gives the mean.
_TINY = 1e-30


def fit_truncate(data: FitData, dim: int) -> Projection:
    """Keep the first `dim` dimensions unchanged."""
    return Projection(data.documents.shape[1], dim)


def fit_pca(data: FitData, dim: int) -> Projection:
    """Rotate to the principal axes of the documents' uncentred states, largest first.

    At full width the scores do not change.
    """
    return Projection.of(principal_axes(second_moments(data.documents))[1][:, :dim])


def fit_spectral(data: FitData, dim: int, power: float = _POWER) -> Projection:
    """Rotate to principal axes and divide each by a power of its eigenvalue (partial whitening).

    The axes are those of documents and queries together. Queries, if there are any, have a quarter of the weight;
    otherwise the directions that separate them would be dominated by the documents.

    Eigenvalues are shrunk first, see `shrink_spectrum`: on few texts the scales tend to those of `pca`.

    Args:
        data: States to fit to.
        dim: Dimensions to keep.
        power: 0 is `pca`, 0.5 is full whitening.

    Returns:
        The projection.
    """
    axes, scales = spectral_axes(data, power)
    return Projection.of((axes * scales)[:, :dim])


def whiten_targets(data: FitData) -> FitData:
    """Replace the targets by their full-width `spectral` map, the teacher of the ranking loss."""
    documents = len(data.documents)
    finals = replace(data, documents=data.targets[:documents], queries=data.targets[documents:])
    axes, scales = spectral_axes(finals)
    return replace(data, targets=data.targets @ (axes * scales))


def spectral_axes(data: FitData, power: float = _POWER) -> tuple[Tensor, Tensor]:
    """Return the principal axes `(D, D)` of documents and queries as columns, and the scale `(D,)` of each."""
    values, axes = principal_axes(mixed_moments(data))
    shrunk = shrink_spectrum(values, _effective_count(data))
    return axes, (shrunk / shrunk[0]) ** -power


def shrink_spectrum(values: Tensor, count: float) -> Tensor:
    """Raise eigenvalues by the mean squared length of a text over the number of texts.

    That is what one text of that length adds to the spectrum, and the order of the sampling error of small eigenvalues:
    E (S - M)^2 is at most tr(M) M / N for texts of equal length, so that eigenvalues below tr(M) / N are not known. An
    axis that the sample does not support gets the scale of its neighbours; the more texts, the less changes. Adding a
    multiple of the identity is the form of Ledoit and Wolf, Journal of Multivariate Analysis 2004.

    Args:
        values: Eigenvalues of second moments `(D,)`, largest first.
        count: Number of texts.
    """
    return values + values.sum() / count


def _effective_count(data: FitData) -> float:
    """Return the number of texts of equal weight whose mean has the sampling error of `mixed_moments`."""
    documents, queries = len(data.documents), len(data.queries)
    share = _query_share(data)
    return 1 / ((1 - share) ** 2 / documents + share**2 / max(1, queries))


def _query_share(data: FitData) -> float:
    """Return the weight of the queries' moments; less where they are few, lest their sampling error is the greater."""
    return min(_QUERY_SHARE, math.sqrt(len(data.queries) / len(data.documents)))


def mixed_moments(data: FitData) -> Tensor:
    """Return the second moments `(D, D)` of documents and queries with the weights of `spectral`."""
    documents, share = second_moments(data.documents), _query_share(data)
    return documents if share == 0 else (1 - share) * documents + share * second_moments(data.queries)


def second_moments(states: Tensor) -> Tensor:
    """Return the uncentred second moments `(D, D)` of states `(N, D)`, in float64."""
    wide = states.double()
    return wide.T @ wide / len(wide)


def principal_axes(moments: Tensor) -> tuple[Tensor, Tensor]:
    """Return eigenvalues `(D,)` and eigenvectors (columns) of second moments, largest first, in float32."""
    values, axes = torch.linalg.eigh(moments)
    # Fix the signs, so that the same states give the same axes on every machine.
    signs = torch.sign(axes.gather(0, axes.abs().argmax(dim=0, keepdim=True)))
    return values.flip(0).clamp(min=0).float(), (axes * signs).flip(1).float()


def fit_lens(data: FitData, dim: int, *, bias: bool = True) -> Projection:
    """Map states to the final embedding by ridge regression, with the penalty by generalized cross-validation.

    GCV(a) = |Y - Y_a|^2 / (N - df(a))^2 with df(a) = sum of s / (s + a) over the eigenvalues s of X'X, and 1 more for
    a bias (Golub, Heath and Wahba, Technometrics 1979). The vectors are in the full model's space: queries encoded with
    a lens can search an index built with the full model.

    Args:
        data: States to fit to; their targets are the final embeddings.
        dim: Dimensions to keep, at most those of the final embedding.
        bias: Whether the map has a bias; without one, the regression goes through the origin.

    Returns:
        The projection.

    Raises:
        CallError: The final embedding has fewer dimensions, or there are fewer than two texts.
    """
    if dim > data.targets.shape[1]:
        raise CallError(f"lens: {dim} dimensions requested, but the final embedding has {data.targets.shape[1]}")
    states, targets = data.texts.double(), data.targets.double()
    if len(states) < 2:
        raise CallError(f"lens: cannot fit to {len(states)} text: expected at least 2")
    # Without a bias, nothing is subtracted.
    mean, target_mean = states.mean(dim=0) * bias, targets.mean(dim=0) * bias
    centred, wanted = states - mean, targets - target_mean
    moments, shared = centred.T @ centred, centred.T @ wanted
    # The penalty only needs float32, where the eigenvectors take a third of the time; the map needs float64.
    values, vectors = torch.linalg.eigh(moments.float())
    along = (vectors.T @ shared.float()).double().square().sum(dim=1)
    penalty = pick_penalty(
        values.double().numpy(), along.numpy(), float(wanted.square().sum()), free=len(states) - bias
    )
    moments.diagonal().add_(penalty)
    weight = torch.cholesky_solve(shared, torch.linalg.cholesky(moments))
    offset = target_mean - mean @ weight
    return Projection.of(weight[:, :dim].float(), offset[:dim].float())


def pick_penalty(values: NDArray[np.float64], along: NDArray[np.float64], total: float, *, free: int) -> float:
    """Return the ridge penalty with the lowest GCV, as in `fit_lens`.

    Args:
        values: Eigenvalues of X'X `(D,)`; the first three arguments may be divided by the number of texts.
        along: Squared lengths of the projections of X'Y on its axes `(D,)`.
        total: Sum of the squares of Y.
        free: Number of texts, less one for a bias.
    """
    values = values.clip(min=0)
    best, chosen = np.inf, 0.0
    # Differences below the rounding error of the largest eigenvalue are noise.
    for penalty in np.maximum(_PENALTIES * values.mean(), _NOISE * values.max() + _TINY):
        shrunk = values + penalty
        residual = total - (along * (2 / shrunk - values / shrunk**2)).sum()
        left = free - (values / shrunk).sum()
        score = residual / left**2 if left > 0 else np.inf
        if score < best:
            best, chosen = score, penalty
    return float(chosen)
