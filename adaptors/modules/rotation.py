"""A learned rotation: a product of Householder reflections, which preserves full-width cosines."""

import torch
from torch import Tensor, nn

from adaptors.modules.base import Network
from adaptors.modules.linear import Projection

__all__ = ["Rotation"]

# Number of reflections; they start as pairs of equal ones, and each pair is the identity.
_REFLECTIONS = 32


class Rotation(Network):
    """Principal axes, then successive reflections x - 2 v (v x) / (v v) (Householder 1958), then a prefix.

    Attributes:
        axes: All axes `(D, D)`; not trained.
    """

    kind = "rotation"
    axes: Tensor

    def __init__(self, width: int, dim: int) -> None:
        """Start with random pairs of equal reflections."""
        super().__init__(width, dim)
        self.register_buffer("axes", torch.eye(width))
        self.normals = nn.Parameter(torch.randn(_REFLECTIONS // 2, width).repeat_interleave(2, dim=0))

    @torch.no_grad()
    def init_from_axes(self, axes: Tensor) -> None:
        """See `Network`."""
        self.axes.copy_(axes)

    def reflect(self, states: Tensor) -> Tensor:
        """Return the first dimensions `(N, dim)` of states `(N, D)` after all reflections.

        A product of reflections of unit normals V `(D, k)` is I - V T V', where the inverse of T has 1/2 on its
        diagonal, V'V above it and nothing below (the compact WY form, Schreiber and Van Loan 1989).
        """
        # Triangular solves are not available in half precision.
        units = nn.functional.normalize(self.normals.float(), dim=1)
        inverse = (units @ units.T).triu(1) + torch.eye(len(units), device=units.device) / 2
        along = torch.linalg.solve_triangular(inverse, units[:, : self.dim], upper=True)
        turned: Tensor = states[:, : self.dim] - (states @ units.T.to(states.dtype)) @ along.to(states.dtype)
        return turned

    def forward(self, states: Tensor) -> Tensor:
        """Map states `(N, D)` to vectors `(N, dim)`."""
        return self.reflect(states @ self.axes)

    @torch.no_grad()
    def flatten(self) -> Projection:
        """Return the adaptor as a linear map."""
        return Projection.of(self.reflect(self.axes))
