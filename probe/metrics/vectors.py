"""Vectors in the form used everywhere: float32, one per text."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["Embeddings", "unit"]

Embeddings = NDArray[np.float32]


def unit(vectors: Embeddings) -> Embeddings:
    """Return vectors `(N, D)` scaled to length 1 in float32; a zero vector stays zero."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: Embeddings = np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0)
    return scaled
