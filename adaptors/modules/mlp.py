"""Adaptors with a hidden layer; all but `MlpOriginal` start as the linear map to the given axes."""

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from adaptors.modules.base import Network

__all__ = ["Autoencoder", "Correction", "Mlp", "MlpOriginal", "Residual"]


class Correction(nn.Module):
    """Two layers whose output is zero before training."""

    def __init__(self, width: int, hidden: int, dim: int) -> None:
        """Create the layers."""
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
    """A hidden layer of two thirds of the width (1,152 > 768 > 512), added to a linear map."""

    kind = "mlp"

    def __init__(self, width: int, dim: int) -> None:
        """Create the layers."""
        super().__init__(width, dim)
        self.skip = nn.Linear(width, dim, bias=False)
        self.correction = Correction(width, _hidden(width), dim)

    @torch.no_grad()
    def init_from_axes(self, axes: Tensor) -> None:
        """See `Network`."""
        self.skip.weight.copy_(axes[:, : self.dim].T)

    def forward(self, states: Tensor) -> Tensor:
        """Map states `(N, D)` to vectors `(N, dim)`."""
        mapped: Tensor = self.skip(states) + self.correction(states)
        return mapped


class MlpOriginal(Network):
    """A hidden layer without a skip connection, random weights (Compressed Concatenation, CIKM 2025)."""

    kind = "mlp-original"

    def __init__(self, width: int, dim: int) -> None:
        """Create the layers."""
        super().__init__(width, dim)
        self.layers = nn.Sequential(nn.Linear(width, _hidden(width)), nn.ReLU(), nn.Linear(_hidden(width), dim))

    def init_from_axes(self, axes: Tensor) -> None:
        """Do nothing: the original experiment starts from random weights."""

    def forward(self, states: Tensor) -> Tensor:
        """Map states `(N, D)` to vectors `(N, dim)`."""
        mapped: Tensor = self.layers(states)
        return mapped


class Autoencoder(Mlp):
    """An encoder with a decoder that is used in training only."""

    kind = "autoencoder"

    def __init__(self, width: int, dim: int) -> None:
        """Create the layers."""
        super().__init__(width, dim)
        self.back = nn.Linear(dim, width, bias=False)
        self.back_correction = Correction(dim, _hidden(width), width)

    @torch.no_grad()
    def init_from_axes(self, axes: Tensor) -> None:
        """See `Network`; the decoder starts as the pseudo-inverse."""
        super().init_from_axes(axes)
        self.back.weight.copy_(torch.linalg.pinv(axes[:, : self.dim]).T)

    def decode(self, codes: Tensor) -> Tensor:
        """Map vectors `(N, dim)` back to states `(N, D)`."""
        decoded: Tensor = self.back(codes) + self.back_correction(codes)
        return decoded


class Residual(Network):
    """The Matryoshka-Adaptor c' = c + f(c) (Yoon et al., EMNLP 2024), with c the states on their principal axes.

    Attributes:
        axes: The axes `(D, dim)`; not trained.
    """

    kind = "residual"
    axes: Tensor

    def __init__(self, width: int, dim: int) -> None:
        """Create the layers."""
        super().__init__(width, dim)
        self.register_buffer("axes", torch.eye(width, dim))
        self.correction = Correction(width, width, dim)

    @torch.no_grad()
    def init_from_axes(self, axes: Tensor) -> None:
        """See `Network`."""
        self.axes.copy_(axes[:, : self.dim])

    def forward(self, states: Tensor) -> Tensor:
        """Map states `(N, D)` to vectors `(N, dim)`."""
        mapped: Tensor = states @ self.axes + self.correction(states)
        return mapped


def _hidden(width: int) -> int:
    return max(1, round(width * 2 / 3))
