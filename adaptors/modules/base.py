"""Adaptors: small modules on top of frozen states, and those of them that are trained."""

from abc import abstractmethod
from typing import Any, ClassVar

from torch import Tensor, nn

__all__ = ["Adaptor", "Identity", "Network"]


class Adaptor(nn.Module):
    """Maps joined states `(N, D)` to vectors `(N, dim)` whose first dimensions serve as shorter vectors.

    Attributes:
        kind: Its name on the command line.
    """

    kind: ClassVar[str]

    def __init__(self, width: int, dim: int) -> None:
        """Set the dimension D of the states and that of the vectors."""
        super().__init__()
        self.width = width
        self.dim = dim

    @abstractmethod
    def forward(self, states: Tensor) -> Tensor:
        """Map states `(N, D)` to vectors `(N, dim)`."""

    def settings(self) -> dict[str, Any]:
        """Return the arguments of the constructor, as plain values."""
        return {"width": self.width, "dim": self.dim}

    def count_parameters(self) -> int:
        """Return the number of its scalars."""
        return sum(tensor.numel() for tensor in (*self.parameters(), *self.buffers()))


class Identity(Adaptor):
    """Leaves states as they are: on top of an encoder that was trained itself."""

    kind = "identity"

    def __init__(self, width: int) -> None:
        """Set the size."""
        super().__init__(width, width)

    def forward(self, states: Tensor) -> Tensor:
        """Return the states `(N, D)`."""
        return states


class Network(Adaptor):
    """An adaptor that is trained.

    Attributes:
        widens: Whether it reads several hookpoints apart, so that one alone gives it nothing to do.
    """

    widens: ClassVar[bool] = False

    @abstractmethod
    def init_from_axes(self, axes: Tensor) -> None:
        """Become the map `prepare(x) A` to the first axes, given all of them, A `(D, D)`."""

    def prepare(self, states: Tensor) -> Tensor:
        """Return the states `(N, D)` in the form that its axes are taken of."""
        return states
