"""What a training has come to at a step: its loss, and what the cloud of a sample's vectors looks like."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from probe.encoder import Embeddings
from probe.errors import CallError
from probe.geometry import alignment, effective_rank, mean_cosine, uniformity

__all__ = ["Measures", "TrainingFacts", "measure"]


class Measures(NamedTuple):
    """What two sides of pairs look like.

    Attributes:
        alignment: Mean squared distance of a pair; 0 where both sides are equal (Wang and Isola, ICML 2020).
        uniformity: Log of the mean of exp(-2 distance^2) over different texts; the lower, the more evenly they fill
            the sphere (Wang and Isola, ICML 2020).
        mean_cosine: Of different texts; 1 where all are alike.
        effective_rank: Directions that are in use; 1 where all are alike (Roy and Vetterli 2007).
    """

    alignment: float
    uniformity: float
    mean_cosine: float
    effective_rank: float


@dataclass(frozen=True)
class TrainingFacts:
    """What a training has come to.

    Attributes:
        step: Steps that were done.
        epoch: Times that all texts were seen.
        loss: Mean since the step that was told before.
        rate: Learning rate.
        alignment: As in `Measures`.
        uniformity: As in `Measures`.
        mean_cosine: As in `Measures`.
        effective_rank: As in `Measures`.
    """

    step: int
    epoch: float
    loss: float
    rate: float
    alignment: float
    uniformity: float
    mean_cosine: float
    effective_rank: float

    def words(self) -> str:
        """Return it in a few words."""
        return (
            f"loss {self.loss:.3g} align {self.alignment:.3g} uniform {self.uniformity:.3g} "
            f"cosine {self.mean_cosine:.3g} rank {self.effective_rank:.3g}"
        )


def measure(left: Tensor, right: Tensor) -> Measures:
    """Measure pairs; all but their alignment is measured within each side, and the mean of both is told.

    Args:
        left: One side `(B, D)`, B >= 2; scaled to length 1.
        right: The other `(B, D)`, row i belonging to row i of the left.

    Returns:
        The measures, in float64.

    Raises:
        CallError: The sides are of other shapes.
    """
    if left.shape != right.shape or left.ndim != 2 or len(left) < 2:
        found = f"{tuple(left.shape)} and {tuple(right.shape)}"
        raise CallError(f"expected two sides of one shape (B, D) with at least 2 rows, found {found}")
    sides = [side.detach().float().cpu().numpy() for side in (left, right)]
    return Measures(alignment(*sides), *(_mean(value, sides) for value in (uniformity, mean_cosine, effective_rank)))


def _mean(value: Callable[[Embeddings], float], sides: Sequence[Embeddings]) -> float:
    return sum(map(value, sides)) / len(sides)
