"""Base classes of adaptors: small modules on top of frozen states."""

from abc import abstractmethod
from typing import Any, ClassVar

from torch import Tensor, nn

__all__ = ["Adaptor", "Identity", "Network"]


class Adaptor(nn.Module):
    """Map concatenated states `(N, D)` to vectors `(N, dim)` whose prefixes can be used as shorter vectors.

    Attributes:
        kind: Name on the command line.
    """

    kind: ClassVar[str]

    def __init__(self, width: int, dim: int) -> None:
        """Set the dimensions of the states (D) and of the vectors."""
        super().__init__()
        self.width = width
        self.dim = dim

    @abstractmethod
    def forward(self, states: Tensor) -> Tensor:
        """Map states `(N, D)` to vectors `(N, dim)`."""

    def settings(self) -> dict[str, Any]:
        """Return the constructor arguments as plain values."""
        return {"width": self.width, "dim": self.dim}

    def count_parameters(self) -> int:
        """Return the number of parameters, buffers included."""
        return sum(tensor.numel() for tensor in (*self.parameters(), *self.buffers()))


class Identity(Adaptor):
    """Return states unchanged, for an encoder that was trained itself."""

    kind = "identity"

    def __init__(self, width: int) -> None:
        """Set the size."""
        super().__init__(width, width)

    def forward(self, states: Tensor) -> Tensor:
        """Return the states `(N, D)`."""
        return states


class Network(Adaptor):
    """A trainable adaptor.

    Attributes:
        widens: Whether it mixes several hookpoints, and so needs more than one.
    """

    widens: ClassVar[bool] = False

    @abstractmethod
    def init_from_axes(self, axes: Tensor) -> None:
        """Initialize as the map `prepare(x) A` to the first of the axes A `(D, D)`."""

    def prepare(self, states: Tensor) -> Tensor:
        """Return the states `(N, D)` in the form whose principal axes initialize the network."""
        return states
