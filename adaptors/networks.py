"""Adaptors with weights to train. Each begins as the linear map of the axes it is given, the originals excepted."""

from abc import abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from adaptors.base import Adaptor

__all__ = ["Autoencoder", "Correction", "Linear", "LinearOriginal", "Mlp", "MlpOriginal", "Network", "Residual"]

_SLOPE = 0.2


class Network(Adaptor):
    """An adaptor that is trained.

    Attributes:
        widens: Whether it reads several hookpoints apart, so that one alone gives it nothing to do.
    """

    widens: ClassVar[bool] = False

    @abstractmethod
    def begin(self, axes: Tensor) -> None:
        """Become the map `prepare(x) A` to the first axes, given all of them, A `(D, D)`."""

    def prepare(self, states: Tensor) -> Tensor:
        """Return what of the states `(N, D)` its axes are taken of."""
        return states


class Linear(Network):
    """LayerNorm, then a linear map."""

    kind = "linear"

    def __init__(self, width: int, dim: int) -> None:
        """Make the layers."""
        super().__init__(width, dim)
        self.norm = nn.LayerNorm(width)
        self.map = nn.Linear(width, dim)

    @torch.no_grad()
    def begin(self, axes: Tensor) -> None:
        """See `Network`."""
        self.map.weight.copy_(axes[:, : self.dim].T)
        self.map.bias.zero_()

    @torch.no_grad()
    def prepare(self, states: Tensor) -> Tensor:
        """Return the states with mean 0 and variance 1 each."""
        normed: Tensor = self.norm(states)
        return normed

    def forward(self, states: Tensor) -> Tensor:
        """Map states `(N, D)` to vectors `(N, dim)`."""
        mapped: Tensor = self.map(self.norm(states))
        return mapped


class LinearOriginal(Network):
    """LayerNorm, Linear, BatchNorm, LeakyReLU, LayerNorm, begun at random (Compressed Concatenation, CIKM 2025)."""

    kind = "linear-original"

    def __init__(self, width: int, dim: int) -> None:
        """Make the layers."""
        super().__init__(width, dim)
        self.layers = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, dim), nn.BatchNorm1d(dim), nn.LeakyReLU(_SLOPE), nn.LayerNorm(dim)
        )

    def begin(self, axes: Tensor) -> None:
        """Stay as it is: the experiment began at random."""

    def forward(self, states: Tensor) -> Tensor:
        """Map states `(N, D)` to vectors `(N, dim)`."""
        mapped: Tensor = self.layers(states)
        return mapped


class Correction(nn.Module):
    """Two layers that give zero until they are trained."""

    def __init__(self, width: int, hidden: int, dim: int) -> None:
        """Make the layers."""
        super().__init__()
        self.inner = nn.Linear(width, hidden)
        self.outer = nn.Linear(hidden, dim)
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.outer.bias)

    def forward(self, states: Tensor) -> Tensor:
        """Map `(N, width)` to `(N, dim)`."""
        mapped: Tensor = self.outer(gelu(self.inner(states)))
        return mapped


class Mlp(Network):
    """A hidden layer of two thirds of the width (1,152 > 768 > 512) beside a linear map."""

    kind = "mlp"

    def __init__(self, width: int, dim: int) -> None:
        """Make the layers."""
        super().__init__(width, dim)
        self.skip = nn.Linear(width, dim, bias=False)
        self.correction = Correction(width, _hidden(width), dim)

    @torch.no_grad()
    def begin(self, axes: Tensor) -> None:
        """See `Network`."""
        self.skip.weight.copy_(axes[:, : self.dim].T)

    def forward(self, states: Tensor) -> Tensor:
        """Map states `(N, D)` to vectors `(N, dim)`."""
        mapped: Tensor = self.skip(states) + self.correction(states)
        return mapped


class MlpOriginal(Network):
    """A hidden layer and nothing beside it, begun at random (Compressed Concatenation, CIKM 2025)."""

    kind = "mlp-original"

    def __init__(self, width: int, dim: int) -> None:
        """Make the layers."""
        super().__init__(width, dim)
        self.layers = nn.Sequential(nn.Linear(width, _hidden(width)), nn.ReLU(), nn.Linear(_hidden(width), dim))

    def begin(self, axes: Tensor) -> None:
        """Stay as it is: the experiment began at random."""

    def forward(self, states: Tensor) -> Tensor:
        """Map states `(N, D)` to vectors `(N, dim)`."""
        mapped: Tensor = self.layers(states)
        return mapped


class Autoencoder(Mlp):
    """An encoder, and a decoder that is needed in training only."""

    kind = "autoencoder"

    def __init__(self, width: int, dim: int) -> None:
        """Make the layers."""
        super().__init__(width, dim)
        self.back = nn.Linear(dim, width, bias=False)
        self.back_correction = Correction(dim, _hidden(width), width)

    @torch.no_grad()
    def begin(self, axes: Tensor) -> None:
        """See `Network`; the decoder begins as the pseudo-inverse."""
        super().begin(axes)
        self.back.weight.copy_(torch.linalg.pinv(axes[:, : self.dim]).T)

    def decode(self, codes: Tensor) -> Tensor:
        """Map vectors `(N, dim)` back to states `(N, D)`."""
        decoded: Tensor = self.back(codes) + self.back_correction(codes)
        return decoded


class Residual(Network):
    """The Matryoshka-Adaptor: c' = c + f(c) (Yoon et al., EMNLP 2024), c being the states on their principal axes.

    Attributes:
        axes: The axes `(D, dim)`; they are not trained.
    """

    kind = "residual"
    axes: Tensor

    def __init__(self, width: int, dim: int) -> None:
        """Make the layers."""
        super().__init__(width, dim)
        self.register_buffer("axes", torch.eye(width, dim))
        self.correction = Correction(width, width, dim)

    @torch.no_grad()
    def begin(self, axes: Tensor) -> None:
        """See `Network`."""
        self.axes.copy_(axes[:, : self.dim])

    def forward(self, states: Tensor) -> Tensor:
        """Map states `(N, D)` to vectors `(N, dim)`."""
        mapped: Tensor = states @ self.axes + self.correction(states)
        return mapped


def _hidden(width: int) -> int:
    return max(1, round(width * 2 / 3))
