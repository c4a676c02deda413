"""Adaptors that weight hookpoints (layers and models); with equal weights they are a linear map."""

from abc import abstractmethod
from collections.abc import Sequence
from math import gcd
from typing import Any

import torch
from torch import Tensor, nn

from adaptors.modules.base import Network
from adaptors.modules.linear import Projection

__all__ = ["Attention", "ScalarMix", "describe_shares"]

_HEADS = 4
_KEY = 64


class _Mixing(Network):
    """A network that sees the parts of a fused state separately.

    Attributes:
        widths: Dimension of each hookpoint; they sum to D.
    """

    widens = True

    def __init__(self, width: int, dim: int, widths: Sequence[int]) -> None:
        """Set the sizes."""
        super().__init__(width, dim)
        self.widths = list(widths)

    def settings(self) -> dict[str, Any]:
        """Return the constructor arguments as plain values."""
        return {**super().settings(), "widths": self.widths}

    @abstractmethod
    def shares(self, states: Tensor) -> Tensor:
        """Return the mean weight of each hookpoint `(n,)` over states `(N, D)`; the weights sum to 1."""


class ScalarMix(_Mixing):
    """One softmax weight per hookpoint (Peters et al., NAACL 2018, equation 1), before fixed axes.

    The weighted vectors are concatenated where ELMo adds them, so hookpoints of different widths can be mixed and equal
    weights change nothing; ELMo's common factor has no effect on a cosine.

    Attributes:
        axes: The axes `(D, dim)`; not trained.
    """

    kind = "scalar-mix"
    axes: Tensor

    def __init__(self, width: int, dim: int, widths: Sequence[int]) -> None:
        """Start with equal weights."""
        super().__init__(width, dim, widths)
        self.register_buffer("axes", torch.eye(width, dim))
        self.weights = nn.Parameter(torch.zeros(len(widths)))

    @torch.no_grad()
    def init_from_axes(self, axes: Tensor) -> None:
        """See `Network`."""
        self.axes.copy_(axes[:, : self.dim])

    def shares(self, states: Tensor) -> Tensor:
        """Return the weights of the hookpoints `(n,)`; they do not depend on the states."""
        return self.weights.softmax(dim=0)

    def scale(self) -> Tensor:
        """Return the factor of each dimension `(D,)`."""
        factors = self.weights.softmax(dim=0) * len(self.widths)
        return factors.repeat_interleave(torch.tensor(self.widths, device=factors.device))

    def forward(self, states: Tensor) -> Tensor:
        """Map states `(N, D)` to vectors `(N, dim)`."""
        return (states * self.scale()) @ self.axes

    @torch.no_grad()
    def flatten(self) -> Projection:
        """Return the adaptor as a linear map."""
        return Projection.of(self.scale().unsqueeze(1) * self.axes)


class Attention(_Mixing):
    """Learned queries attend over the hookpoints as tokens (multi-head attention, Vaswani et al., 2017).

    The value of a token is a linear map of its hookpoint's vector to all dimensions. Each head owns an equal part of
    the dimensions, interleaved so that a prefix has dimensions of every head. The queries start at zero, so every head
    starts with equal weights.
    """

    kind = "attention"

    def __init__(self, width: int, dim: int, widths: Sequence[int]) -> None:
        """Create the maps."""
        super().__init__(width, dim, widths)
        self.heads = gcd(dim, _HEADS)
        self.values = nn.ParameterList([torch.zeros(block, dim) for block in self.widths])
        self.keys = nn.ModuleList([nn.Linear(block, _KEY) for block in self.widths])
        self.queries = nn.Parameter(torch.zeros(self.heads, _KEY))

    @torch.no_grad()
    def init_from_axes(self, axes: Tensor) -> None:
        """See `Network`."""
        for value, part in zip(self.values, torch.split(axes[:, : self.dim], self.widths), strict=True):
            value.copy_(part)

    def attend(self, states: Tensor) -> Tensor:
        """Return the attention weights `(N, heads, n)` over n hookpoints for states `(N, D)`."""
        blocks = torch.split(states, self.widths, dim=1)
        # The norm of a hookpoint's vector in a fusion depends on the number of hookpoints: undo it.
        keys = torch.stack([key(block * len(blocks) ** 0.5) for key, block in zip(self.keys, blocks, strict=True)], 1)
        logits = torch.einsum("hk,nbk->nhb", self.queries, keys) / _KEY**0.5
        return torch.softmax(logits, dim=2)

    def shares(self, states: Tensor) -> Tensor:
        """Return the attention weights of the hookpoints `(n,)`, averaged over texts and heads."""
        return self.attend(states).mean(dim=(0, 1))

    def forward(self, states: Tensor) -> Tensor:
        """Map states `(N, D)` to vectors `(N, dim)`."""
        blocks = torch.split(states, self.widths, dim=1)
        weights = self.attend(states) * len(blocks)
        values = torch.stack([block @ value for value, block in zip(self.values, blocks, strict=True)], dim=1)
        # (N, n, dim / heads, heads): adjacent dimensions belong to different heads.
        parts = values.reshape(len(states), len(blocks), -1, self.heads)
        return torch.einsum("nhb,nbdh->ndh", weights, parts).flatten(1)


def describe_shares(network: Network, states: Tensor, names: Sequence[str]) -> tuple[str, ...]:
    """Return the mean weights of the hookpoints over states `(N, D)` as a note; empty if the network has none."""
    if not isinstance(network, _Mixing):
        return ()
    with torch.inference_mode():
        shares = network.shares(states)
    return ("weights " + ", ".join(f"{name} {share:.3f}" for name, share in zip(names, shares.tolist(), strict=True)),)
