"""Shape of a set of vectors, and similarity of two sets for the same texts; pure functions in float64."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from probe.metrics.vectors import Embeddings, unit

__all__ = [
    "SAMPLE",
    "alignment",
    "dominant_dimensions",
    "effective_rank",
    "entropy_rank",
    "is_collapsed",
    "linear_cka",
    "mean_cosine",
    "singular_values",
    "spectrum",
    "uniformity",
]

_Wide = NDArray[np.float64]


def singular_values(vectors: Embeddings) -> _Wide:
    """Return the singular values `(min(N, D),)` of vectors `(N, D)` scaled to length 1, not centred, descending."""
    values: _Wide = np.asarray(np.linalg.svd(_wide(vectors), compute_uv=False), np.float64)
    return values


def spectrum(values: _Wide) -> _Wide:
    """Return the share of every principal axis in the energy of unit vectors.

    Args:
        values: Their singular values.

    Returns:
        As many shares, descending, summing to 1; zeros if every vector is zero.
    """
    energies: _Wide = values**2
    total = float(energies.sum())
    return energies / total if total > 0 else energies


def alignment(queries: Embeddings, documents: Embeddings) -> float:
    """Return the mean squared distance of matching pairs (Wang and Isola, ICML 2020, alpha 2).

    Args:
        queries: `(N, D)`, scaled to length 1.
        documents: `(N, D)`; row i matches row i of the queries.

    Returns:
        From 0 (all pairs equal) to 4.
    """
    return float(((_wide(queries) - _wide(documents)) ** 2).sum(axis=1).mean())


def uniformity(vectors: Embeddings) -> float:
    """Return the log of the mean of exp(-2 distance^2) over all pairs (Wang and Isola, ICML 2020, t 2).

    Args:
        vectors: `(N, D)`, N >= 2, scaled to length 1.

    Returns:
        0 if all are equal; lower values mean a more uniform distribution on the sphere, down to -4.
    """
    units = _wide(vectors)
    cosines = (units @ units.T)[np.triu_indices(len(units), 1)]
    lengths = (units**2).sum(axis=1)
    # For unit vectors the squared distance is 2 - 2 cos; a zero vector has length 0.
    pairs = np.add.outer(lengths, lengths)[np.triu_indices(len(units), 1)]
    return math.log(float(np.exp(-2 * (pairs - 2 * cosines)).mean()))


def dominant_dimensions(vectors: Embeddings, count: int = 3) -> tuple[tuple[int, float], ...]:
    """Return the dimensions that contribute most to the mean cosine (Timkey and van Schijndel, EMNLP 2021).

    Args:
        vectors: `(N, D)`, scaled to length 1.
        count: Number of dimensions.

    Returns:
        Dimension index and its share of |mean vector|^2, in descending order.
    """
    energies = _wide(vectors).mean(axis=0) ** 2
    total = float(energies.sum())
    order = np.argsort(-energies, kind="stable")[:count]
    return tuple((int(dim), float(energies[dim]) / total if total > 0 else 0.0) for dim in order)


def linear_cka(clouds: Sequence[Embeddings]) -> _Wide:
    """Return the linear centred kernel alignment of vectors of the same texts (Kornblith et al., ICML 2019, eq. 4).

    CKA = |Y'X|^2 / (|X'X| |Y'Y|) for centred X and Y, with Frobenius norms.

    Args:
        clouds: L arrays `(N, D_l)`, for the same texts in the same order.

    Returns:
        `(L, L)`, from 0 to 1; 1 if one is a rotation of the other, scaled and shifted; 0 if one has no variance.
    """
    centred = [cloud - cloud.mean(axis=0) for cloud in (cloud.astype(np.float64) for cloud in clouds)]
    own = [float(np.linalg.norm(cloud.T @ cloud)) for cloud in centred]
    found = np.zeros((len(clouds), len(clouds)))
    for i, first in enumerate(centred):
        found[i, i] = float(own[i] > 0)
        for j in range(i):
            if own[i] > 0 and own[j] > 0:
                shared = float(((centred[j].T @ first) ** 2).sum())
                found[i, j] = found[j, i] = shared / (own[i] * own[j])
    return found


def _wide(vectors: Embeddings) -> _Wide:
    return unit(vectors).astype(np.float64)


# Number of vectors tested; a collapse shows in any sample.
SAMPLE = 512


def mean_cosine(vectors: Embeddings) -> float:
    """Return the mean cosine over all pairs of different rows of `(N, D)`, N >= 2."""
    units = _wide(vectors)
    total = units.sum(axis=0)
    return float((total @ total - (units**2).sum()) / (len(units) * (len(units) - 1)))


def effective_rank(vectors: Embeddings) -> float:
    """Return the effective rank of vectors `(N, D)`, scaled to length 1, not centred; see `entropy_rank`."""
    return entropy_rank(singular_values(vectors))


def entropy_rank(values: _Wide) -> float:
    """Return the exponential of the entropy of the normalized singular values (Roy and Vetterli 2007).

    Args:
        values: Singular values of unit vectors.

    Returns:
        1 for a single direction, up to the number of values; 0 if every vector is zero.
    """
    if values.sum() == 0:
        return 0.0
    shares = values[values > 0] / values.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


def is_collapsed(vectors: Embeddings, values: _Wide | None = None) -> bool:
    """Return whether the vectors `(N, D)` are all equal up to scale, or all zero.

    Args:
        vectors: The vectors.
        values: Their singular values, if known; default: those of a sample, where it may have one direction.
    """
    sample = vectors[:SAMPLE]
    if len(sample) < 2:
        return False
    # Anisotropic states reach mean cosines of .9999 and still rank well, so only rounding is tolerated.
    if mean_cosine(sample) > 1 - 1e-6:
        return True
    return _has_one_direction(sample) and entropy_rank(singular_values(sample) if values is None else values) < 1.01


def _has_one_direction(vectors: Embeddings) -> bool:
    """Return whether one direction may hold nearly all of the energy: a cheap bound that avoids the singular values."""
    gram = unit(vectors).T @ unit(vectors)
    trace = float(np.trace(gram))
    return trace == 0 or float((gram**2).sum()) > 0.9 * trace**2
