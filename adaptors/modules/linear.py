"""Linear adaptors: a fixed map, a trainable one, one after a LayerNorm, and the latter's original version."""

import torch
from torch import Tensor, nn

from adaptors.modules.base import Adaptor, Network

__all__ = ["Linear", "LinearOriginal", "Projection", "TrainableProjection"]

_SLOPE = 0.2


class Projection(Adaptor):
    """A linear map `x W + b`; every closed-form adaptor is one."""

    kind = "projection"
    weight: Tensor
    bias: Tensor

    def __init__(self, width: int, dim: int) -> None:
        """Start as the first dimensions of the identity."""
        super().__init__(width, dim)
        self.register_buffer("weight", torch.eye(width, dim))
        self.register_buffer("bias", torch.zeros(dim))

    @classmethod
    def of(cls, weight: Tensor, bias: Tensor | None = None) -> "Projection":
        """Wrap a matrix `(D, dim)` and an optional bias `(dim,)`."""
        made = cls(*weight.shape)
        made.weight.copy_(weight)
        if bias is not None:
            made.bias.copy_(bias)
        return made

    def forward(self, states: Tensor) -> Tensor:
        """Return `x W + b` `(N, dim)`."""
        return states @ self.weight + self.bias


class TrainableProjection(Adaptor):
    """A linear map `x W + b` that is trained from a given start; without a start bias, no bias is trained."""

    kind = "projection"

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        """Start as a matrix `(D, dim)` and an optional bias `(dim,)`."""
        super().__init__(*weight.shape)
        start = torch.zeros(self.dim) if bias is None else bias.clone()
        self.weight = nn.Parameter(weight.clone())
        self.bias = nn.Parameter(start, requires_grad=bias is not None)

    def forward(self, states: Tensor) -> Tensor:
        """Return `x W + b` `(N, dim)`."""
        return states @ self.weight + self.bias


class Linear(Network):
    """LayerNorm, then a linear map."""

    kind = "linear"

    def __init__(self, width: int, dim: int) -> None:
        """Create the layers."""
        super().__init__(width, dim)
        self.norm = nn.LayerNorm(width)
        self.map = nn.Linear(width, dim)

    @torch.no_grad()
    def init_from_axes(self, axes: Tensor) -> None:
        """See `Network`."""
        self.map.weight.copy_(axes[:, : self.dim].T)
        self.map.bias.zero_()

    @torch.no_grad()
    def prepare(self, states: Tensor) -> Tensor:
        """Return each state with mean 0 and variance 1."""
        normed: Tensor = self.norm(states)
        return normed

    def forward(self, states: Tensor) -> Tensor:
        """Map states `(N, D)` to vectors `(N, dim)`."""
        mapped: Tensor = self.map(self.norm(states))
        return mapped


class LinearOriginal(Network):
    """LayerNorm, Linear, BatchNorm, LeakyReLU, LayerNorm, random weights (Compressed Concatenation, CIKM 2025)."""

    kind = "linear-original"

    def __init__(self, width: int, dim: int) -> None:
        """Create the layers."""
        super().__init__(width, dim)
        self.layers = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, dim), nn.BatchNorm1d(dim), nn.LeakyReLU(_SLOPE), nn.LayerNorm(dim)
        )

    def init_from_axes(self, axes: Tensor) -> None:
        """Do nothing: the original experiment starts from random weights."""

    def forward(self, states: Tensor) -> Tensor:
        """Map states `(N, D)` to vectors `(N, dim)`."""
        mapped: Tensor = self.layers(states)
        return mapped
