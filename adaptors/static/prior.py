"""A token's vector before any text is seen: its own through the full model, weighted by frequency and mapped."""

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from adaptors.fitting.closed_form import fit_lens
from adaptors.fitting.states import FitData
from probe.metrics.vectors import Embeddings

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["make_prior"]


def make_prior(
    vectors: Embeddings, shares: NDArray[np.float64], smoothing: float, *, counts: "csr_array", targets: Embeddings
) -> Embeddings:
    """Return a vector per token whose average is close to the full model's vector of a text.

    A token of share p has the weight s / (s + p) (smooth inverse frequency: Arora, Liang and Ma, ICLR 2017). One ridge
    map of all averages to the full model's vectors is then applied to every token, which gives the same averages.

    Args:
        vectors: The full model's vector of each token alone `(V, D)`.
        shares: Share of each token in the texts `(V,)`.
        smoothing: The s of the weights.
        counts: Share of each token in each text, rows summing to 1, sparse `(N, V)`.
        targets: The full model's vectors of the texts `(N, D)`.

    Returns:
        Float32 `(V, D)`.
    """
    weighted = vectors * (smoothing / (smoothing + shares))[:, None].astype(np.float32)
    averages, wanted = torch.from_numpy(counts @ weighted), torch.from_numpy(targets)
    none = averages[:0]
    data = FitData(averages, none, (), wanted, torch.empty(0, 3, dtype=torch.long), "none", ())
    found: Embeddings = fit_lens(data, wanted.shape[1])(torch.from_numpy(weighted)).numpy()
    return found
