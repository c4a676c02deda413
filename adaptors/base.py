"""What every adaptor is: a small module on top of frozen states."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

__all__ = ["Adaptor", "FitData", "Identity", "Projection"]


@dataclass(frozen=True)
class FitData:
    """What an adaptor is fitted to: unit blocks side by side, as a fusion joins them.

    Attributes:
        documents: States of the N documents `(N, D)`.
        queries: States of the M queries that may be looked at `(M, D)`; those that are searched with are never here.
        blocks: Name of every block, and its dimension; they sum to D.
        targets: Final embeddings of documents and queries `(N + M, F)`: what the lens aims at, and others imitate.
        pairs: Rows of a query and of a document judged relevant to it, and the grade `(P, 3)`; empty without labels.
        labels: `none`, or the split the pairs come from.
        fitted_on: Name of the data set, and sha256 of its documents.
    """

    documents: Tensor
    queries: Tensor
    blocks: tuple[tuple[str, int], ...]
    targets: Tensor
    pairs: Tensor
    labels: str
    fitted_on: tuple[str, str]

    @property
    def is_final(self) -> bool:
        """Whether the states are the final embeddings already."""
        return self.texts.shape == self.targets.shape and torch.equal(self.texts, self.targets)

    @property
    def widths(self) -> tuple[int, ...]:
        """Dimension of every block."""
        return tuple(width for _, width in self.blocks)

    @property
    def texts(self) -> Tensor:
        """Documents and queries `(N + M, D)`."""
        return torch.cat([self.documents, self.queries])


class Adaptor(nn.Module):
    """Maps joined states `(N, D)` to vectors `(N, dim)` whose first dimensions serve as shorter vectors.

    Attributes:
        kind: Its name on the command line.
    """

    kind: ClassVar[str]

    def __init__(self, width: int, dim: int) -> None:
        """Set the sizes.

        Args:
            width: Dimension D of the states.
            dim: Dimension of the vectors.
        """
        super().__init__()
        self.width = width
        self.dim = dim

    @abstractmethod
    def forward(self, states: Tensor) -> Tensor:
        """Map states `(N, D)` to vectors `(N, dim)`."""

    def settings(self) -> dict[str, Any]:
        """Return what the constructor takes, as plain values."""
        return {"width": self.width, "dim": self.dim}

    def count_parameters(self) -> int:
        """Return the number of its scalars."""
        return sum(tensor.numel() for tensor in (*self.parameters(), *self.buffers()))


class Identity(Adaptor):
    """Leaves states as they are: what is on top of an encoder that was trained itself."""

    kind = "identity"

    def __init__(self, width: int) -> None:
        """Set the size."""
        super().__init__(width, width)

    def forward(self, states: Tensor) -> Tensor:
        """Return the states `(N, D)`."""
        return states


class Projection(Adaptor):
    """A linear map `x W + b`; what every closed-form adaptor comes to."""

    kind = "projection"
    weight: Tensor
    bias: Tensor

    def __init__(self, width: int, dim: int) -> None:
        """Begin as the first dimensions of the identity."""
        super().__init__(width, dim)
        self.register_buffer("weight", torch.eye(width, dim))
        self.register_buffer("bias", torch.zeros(dim))

    @classmethod
    def of(cls, weight: Tensor, bias: Tensor | None = None) -> "Projection":
        """Wrap a matrix `(D, dim)` and perhaps a bias `(dim,)`."""
        made = cls(*weight.shape)
        made.weight.copy_(weight)
        if bias is not None:
            made.bias.copy_(bias)
        return made

    def forward(self, states: Tensor) -> Tensor:
        """Return `x W + b` `(N, dim)`."""
        return states @ self.weight + self.bias
