"""Picture of the similarities of a sample before and after a training."""

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
    """Draw the cosines of all pairs of a sample before and after a training, side by side on one scale of colours.

    Args:
        before: Both sides `(B, D)` before the training, row i of one belonging to row i of the other.
        after: The same after it.
        path: The picture, whole or not at all: .png, .svg or .pdf. Equal vectors give equal bytes.
        sides: What the rows are called, and what the columns are.

    Raises:
        CallError: The sides do not belong together or are not numbers, the suffix is another, or matplotlib is not
            installed.
        OSError: The picture cannot be written.
    """
    check_matplotlib("a similarity map")
    save_picture(PairMap(_cosines(*before), _cosines(*after), sides), path)


def _cosines(left: Tensor, right: Tensor) -> NDArray[np.float64]:
    """Return the cosines of all rows of one side with all of the other `(B, B)`."""
    if left.shape != right.shape or left.ndim != 2 or not len(left):
        raise CallError(f"expected two sides of one shape (B, D), found {tuple(left.shape)} and {tuple(right.shape)}")
    if not (left.isfinite().all() and right.isfinite().all()):
        raise CallError("the vectors are not numbers, so that there is nothing to draw")
    first, second = (unit(side.detach().float().cpu().numpy()).astype(np.float64) for side in (left, right))
    cosines: NDArray[np.float64] = (first @ second.T).clip(-1, 1)
    return cosines
