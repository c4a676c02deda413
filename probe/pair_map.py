"""The cosines of two sides of pairs, before and after a training, as a value that can be drawn."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["PairMap"]


@dataclass(frozen=True)
class PairMap:
    """Cosines of every row of one side with every row of the other; pairs stand on the diagonal.

    Attributes:
        before: `(B, B)`, before the training.
        after: `(B, B)`, after it.
        sides: What the rows are, and what the columns are.
    """

    before: NDArray[np.float64]
    after: NDArray[np.float64]
    sides: tuple[str, str]
