"""Samples that are the same on every run: spread evenly, not drawn."""

import numpy as np

__all__ = ["spread"]


def spread(count: int, wanted: int) -> tuple[int, ...]:
    """Return at most `wanted` places out of `count`, spread evenly from the first to the last."""
    places = np.linspace(0, count - 1, min(count, wanted)).round().astype(int)
    return tuple(np.unique(places).tolist())
