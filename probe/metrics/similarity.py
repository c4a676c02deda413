"""Similarity functions of vectors: the four of sentence-transformers; larger means more similar."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from probe.errors import CallError, did_you_mean
from probe.metrics.vectors import Embeddings

__all__ = ["COSINE", "DOT", "OWN", "SIMILARITIES", "as_tensor", "check_similarity", "compare", "compare_tensors"]

COSINE = "cosine"
DOT = "dot"
# The similarity function of the model's own config.
OWN = "own"

# Number of scores computed in float64 at a time.
_BLOCK = 1 << 22


def check_similarity(name: str) -> str:
    """Return `name` if it is a known similarity function or `own`.

    Raises:
        CallError: If it is unknown.
    """
    names = (OWN, *SIMILARITIES)
    if name not in names:
        hint = did_you_mean(name, names)
        raise CallError(f"unknown similarity '{name}': expected one of {', '.join(names)} ({hint})")
    return name


def compare(similarity: str, queries: Embeddings, documents: Embeddings) -> Embeddings:
    """Return the similarity of every query to every document, as `compare_tensors` does.

    Args:
        similarity: One of `SIMILARITIES`.
        queries: `(Q, D)`.
        documents: `(C, D)`.

    Returns:
        Float32 `(Q, C)`; distances are negated.
    """
    scores: Embeddings = compare_tensors(similarity, *map(as_tensor, (queries, documents))).numpy()
    return scores


def compare_tensors(similarity: str, queries: Tensor, documents: Tensor) -> Tensor:
    """Return the similarity of every query to every document, computed where the queries are.

    Computed in float64 and rounded once to float32, so that equal vectors tie regardless of their position.

    Args:
        similarity: One of `SIMILARITIES`.
        queries: `(Q, D)`, on a device that has float64.
        documents: `(C, D)`, on the same device or the CPU.

    Returns:
        Float32 `(Q, C)` on the device of the queries; distances are negated.
    """
    measure, asked = SIMILARITIES[similarity], queries.double()
    scores = torch.empty(len(queries), len(documents), device=queries.device)
    step = max(1, _BLOCK // max(1, len(queries)))
    for start in range(0, len(documents), step):
        block = documents[start : start + step].to(queries.device).double()
        scores[:, start : start + step] = measure(asked, block)
    return scores


def as_tensor(vectors: Embeddings) -> Tensor:
    """Return vectors `(N, D)` as a tensor; those that are read-only or not contiguous are copied."""
    return torch.from_numpy(np.require(vectors, requirements=["C", "W"]))


def _cosine(queries: Tensor, documents: Tensor) -> Tensor:
    return _dot(normalize(queries, dim=1, eps=_TINY), normalize(documents, dim=1, eps=_TINY))


def _dot(queries: Tensor, documents: Tensor) -> Tensor:
    return queries @ documents.T


def _euclidean(queries: Tensor, documents: Tensor) -> Tensor:
    # Computed as products, equal vectors would have a small distance.
    return -torch.cdist(queries, documents, p=2.0, compute_mode="donot_use_mm_for_euclid_dist")


def _manhattan(queries: Tensor, documents: Tensor) -> Tensor:
    return -torch.cdist(queries, documents, p=1.0)


# Only a zero vector is shorter than this.
_TINY = float(np.finfo(np.float64).tiny)

SIMILARITIES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    COSINE: _cosine,
    DOT: _dot,
    "euclidean": _euclidean,
    "manhattan": _manhattan,
}
