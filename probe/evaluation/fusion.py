"""Fusions: several hookpoints as one encoder, and rankings of several encoders as one ranking."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import normalize

from probe.errors import CallError
from probe.layers.hookpoint import TOKENS, Hookpoint
from probe.metrics.run_fusion import RUN_FUSIONS
from probe.metrics.top_k import Run
from probe.metrics.vectors import Embeddings

__all__ = ["METHODS", "Fusion", "RunFusion"]

METHODS = ("concat", "mean", "weighted")


@dataclass(frozen=True)
class Fusion:
    """Several hookpoints as one encoder.

    Every block, the vector at one hookpoint, is scaled to length 1 first, or the longest would decide. With shares w
    (the weights scaled to sum to 1), `concat` puts sqrt(w) times each block side by side, so that its cosine is the
    mean of the blocks' cosines with weights w; `mean` and `weighted` add w times each block. All vectors have length 1.

    Attributes:
        points: The hookpoints, layer and pooling written out; a single one stands for itself.
        weights: One positive number per hookpoint; equal when left out.
        method: One of `METHODS`; `weighted` is `mean` with weights.
        name: What a table calls it; its hookpoints joined by `+` when left out.
    """

    points: tuple[Hookpoint, ...]
    weights: tuple[float, ...] | None = None
    method: str = "concat"
    name: str | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be a fusion.

        Raises:
            CallError: The method is unknown, the weights do not suit it or the hookpoints, or one of several hookpoints
                has a vector per token.
        """
        tokens = [point for point in self.points if point.pooling == TOKENS]
        if tokens and len(self.points) > 1:
            raise CallError(
                f"'{tokens[0]}' has a vector per token, and a fusion joins one per text: name a pooling, such as :mean"
            )
        if self.method not in METHODS:
            raise CallError(f"unknown method '{self.method}': expected one of {', '.join(METHODS)}")
        if self.method == "mean" and self.weights is not None:
            raise CallError("the method 'mean' takes no weights: use 'weighted'")
        if self.method == "weighted" and self.weights is None:
            raise CallError("the method 'weighted' needs weights: give them, or use 'mean'")
        if self.weights is None:
            return
        if len(self.weights) != len(self.points):
            raise CallError(f"{len(self.weights)} weights for {len(self.points)} hookpoints: expected one each")
        if not all(math.isfinite(weight) and weight > 0 for weight in self.weights):
            raise CallError(f"weights {', '.join(map(str, self.weights))}: expected positive numbers")

    @cached_property
    def shares(self) -> tuple[float, ...]:
        """The weights, scaled to sum to 1."""
        weights = self.weights or (1.0,) * len(self.points)
        return tuple(weight / sum(weights) for weight in weights)

    @property
    def sides(self) -> "tuple[Fusion, Fusion]":
        """Queries and documents are embedded alike."""
        return self, self

    @property
    def cosine_shares(self) -> tuple[float, ...] | None:
        """The weights with which the cosine of a concatenation is the mean of its blocks' cosines."""
        return self.shares if self.method == "concat" else None

    @property
    def adaptor(self) -> None:
        """Nothing is on top."""
        return None

    def dim(self, widths: Sequence[int]) -> int:
        """Return the dimension of its vectors: the sum of the blocks' widths for `concat`, else the one they share.

        Raises:
            CallError: They differ where they have to be equal.
        """
        if self.method == "concat":
            return sum(widths)
        if len(set(widths)) > 1:
            parts = ", ".join(f"{point} ({width})" for point, width in zip(self.points, widths, strict=True))
            raise CallError(f"'{self.method}' needs blocks of one width: {parts}; use concat")
        return widths[0]

    def join(self, blocks: Sequence[Tensor]) -> Tensor:
        """Join one block `(N, D_i)` per hookpoint into vectors `(N, D)` of length 1."""
        units = [normalize(block.float(), dim=1) for block in blocks]
        if self.method == "concat":
            return torch.cat([math.sqrt(share) * unit for share, unit in zip(self.shares, units, strict=True)], dim=1)
        total = torch.stack([share * unit for share, unit in zip(self.shares, units, strict=True)]).sum(dim=0)
        return normalize(total, dim=1)

    def join_arrays(self, blocks: Sequence[Embeddings]) -> Embeddings:
        """Join blocks `(N, D_i)` that are arrays; a single hookpoint's block stays as it is."""
        if len(blocks) == 1:
            return blocks[0]
        joined: Embeddings = self.join([torch.from_numpy(block) for block in blocks]).numpy()
        return joined

    def __str__(self) -> str:
        return self.name or "+".join(map(str, self.points))


@dataclass(frozen=True)
class RunFusion:
    """The rankings of several hookpoints as one ranking (late fusion), to compare a `Fusion` with.

    Attributes:
        points: The hookpoints.
        rule: One of `probe.metrics.run_fusion.RUN_FUSIONS`.
    """

    points: tuple[Hookpoint, ...]
    rule: str

    def combine(self, runs: Sequence[Run]) -> Run:
        """Return one run made of one per hookpoint."""
        return RUN_FUSIONS[self.rule](runs)

    def __str__(self) -> str:
        return f"{self.rule}({', '.join(map(str, self.points))})"
