"""Notice a collapsed state: all vectors (nearly) equal, so that every ranking is a tie."""

import numpy as np

from probe.encoder import Embeddings
from probe.search import unit

__all__ = ["SAMPLE", "effective_rank", "is_collapsed", "mean_cosine"]

# Vectors looked at; a collapse shows on any sample.
SAMPLE = 512


def mean_cosine(vectors: Embeddings) -> float:
    """Return the mean cosine over all pairs of different rows of `(N, D)`, N >= 2."""
    units = unit(vectors).astype(np.float64)
    total = units.sum(axis=0)
    return float((total @ total - (units**2).sum()) / (len(units) * (len(units) - 1)))


def effective_rank(vectors: Embeddings) -> float:
    """Return the exponential of the entropy of the singular values' shares (Roy and Vetterli 2007).

    Args:
        vectors: `(N, D)`; scaled to length 1, not centred.

    Returns:
        1 for a single direction, up to min(N, D); 0 when every vector is zero.
    """
    values = np.linalg.svd(unit(vectors).astype(np.float64), compute_uv=False)
    if values.sum() == 0:
        return 0.0
    shares = values[values > 0] / values.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


def is_collapsed(vectors: Embeddings) -> bool:
    """Whether the vectors `(N, D)` are all equal up to their length, or all zero."""
    sample = vectors[:SAMPLE]
    if len(sample) < 2:
        return False
    # Anisotropic states reach mean cosines of .9999 and still rank well: only rounding is allowed for.
    return mean_cosine(sample) > 1 - 1e-6 or (_has_one_direction(sample) and effective_rank(sample) < 1.01)


def _has_one_direction(vectors: Embeddings) -> bool:
    """Whether one direction can hold nearly all of the energy: a cheap bound that spares the singular values."""
    gram = unit(vectors).T @ unit(vectors)
    trace = float(np.trace(gram))
    return trace == 0 or float((gram**2).sum()) > 0.9 * trace**2
