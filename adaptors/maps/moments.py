"""Vectors of the same texts by two models, and their moments: all that a closed-form map is fitted to."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Moments", "Pairs"]


@dataclass(frozen=True)
class Pairs:
    """Vectors of the same N texts by two models.

    Attributes:
        source: Vectors of the model that is mapped `(N, A)`.
        target: Vectors of the model in whose space it is mapped `(N, B)`.
    """

    source: Tensor
    target: Tensor

    def __len__(self) -> int:
        """Return the number of texts."""
        return len(self.source)

    def pick(self, rows: Sequence[int]) -> "Pairs":
        """Return the texts of rows."""
        return Pairs(self.source[list(rows)], self.target[list(rows)])

    def join(self, other: "Pairs") -> "Pairs":
        """Return the texts of both."""
        return Pairs(torch.cat([self.source, other.source]), torch.cat([self.target, other.target]))


@dataclass(frozen=True)
class Moments:
    """First and second moments of pairs of vectors, uncentred, in float64.

    Attributes:
        count: Number of texts.
        source_mean: Mean of the source `(A,)`.
        target_mean: Mean of the target `(B,)`.
        source: Second moments of the source `(A, A)`.
        cross: Second moments between both `(A, B)`.
        target: Second moments of the target `(B, B)`.
    """

    count: int
    source_mean: Tensor
    target_mean: Tensor
    source: Tensor
    cross: Tensor
    target: Tensor

    @classmethod
    def of(cls, pairs: Pairs) -> "Moments":
        """Return the moments of at least one text."""
        source, target, count = pairs.source.double(), pairs.target.double(), len(pairs)
        return cls(
            count,
            source.mean(dim=0),
            target.mean(dim=0),
            source.T @ source / count,
            source.T @ target / count,
            target.T @ target / count,
        )

    def mix(self, other: "Moments", share: float) -> "Moments":
        """Return the moments of a mixture in which the other texts together have a share of the weight."""
        mixed = [
            torch.lerp(own, more, share)
            for own, more in (
                (self.source_mean, other.source_mean),
                (self.target_mean, other.target_mean),
                (self.source, other.source),
                (self.cross, other.cross),
                (self.target, other.target),
            )
        ]
        return Moments(self.count + other.count, *mixed)

    def centre(self) -> "Moments":
        """Return the central moments; the means stay as they are."""
        return Moments(
            self.count,
            self.source_mean,
            self.target_mean,
            self.source - torch.outer(self.source_mean, self.source_mean),
            self.cross - torch.outer(self.source_mean, self.target_mean),
            self.target - torch.outer(self.target_mean, self.target_mean),
        )

    def swap(self) -> "Moments":
        """Return the moments with the roles of the two models exchanged."""
        return Moments(self.count, self.target_mean, self.source_mean, self.target, self.cross.T, self.source)
