"""Plot of the similarities of a sample before and after training."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from probe.errors import CallError
from probe.metrics.vectors import unit
from probe.plots.picture import check_matplotlib, save_picture
from probe.results.charts import PairMap

__all__ = ["similarity_map"]


def similarity_map(
    before: tuple[Tensor, Tensor],
    after: tuple[Tensor, Tensor],
    path: Path,
    *,
    sides: tuple[str, str] = ("queries", "documents"),
) -> None:
    """Plot the cosines of all pairs of a sample before and after training, side by side with one colour scale.

    Args:
        before: Both sides `(B, D)` before training; row i of one side is paired with row i of the other.
        after: The same after training.
        path: Image file (.png, .svg or .pdf), written completely or not at all. Equal vectors give equal bytes.
        sides: Labels of the rows and the columns.

    Raises:
        CallError: The shapes do not match, the vectors are not finite, the suffix is not supported, or matplotlib is
            not installed.
        OSError: The image cannot be written.
    """
    check_matplotlib("a similarity map")
    save_picture(PairMap(_cosines(*before), _cosines(*after), sides), path)


def _cosines(left: Tensor, right: Tensor) -> NDArray[np.float64]:
    """Return the cosines `(B, B)` between all rows of both sides."""
    if left.shape != right.shape or left.ndim != 2 or not len(left):
        raise CallError(
            f"expected two sides of the same shape (B, D), found {tuple(left.shape)} and {tuple(right.shape)}"
        )
    if not (left.isfinite().all() and right.isfinite().all()):
        raise CallError("cannot plot the similarities: the vectors contain NaN or infinity")
    first, second = (unit(side.detach().float().cpu().numpy()).astype(np.float64) for side in (left, right))
    cosines: NDArray[np.float64] = (first @ second.T).clip(-1, 1)
    return cosines
