"""Fusions: several hookpoints as one encoder, or the rankings of several encoders as one ranking."""

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

    Every block, the vector at one hookpoint, is first scaled to length 1, so that no block dominates. With shares w
    (the weights scaled to sum to 1), `concat` concatenates the blocks times sqrt(w), so that its cosine is the weighted
    mean of the blocks' cosines; `mean` and `weighted` sum the blocks times w. All vectors have length 1.

    Attributes:
        points: The hookpoints, with explicit layer and pooling; a fusion of one is the hookpoint itself.
        weights: One positive number per hookpoint; default: equal weights.
        method: One of `METHODS`; `weighted` is `mean` with weights.
        name: Name in tables; default: its hookpoints joined by `+`.
    """

    points: tuple[Hookpoint, ...]
    weights: tuple[float, ...] | None = None
    method: str = "concat"
    name: str | None = None

    def __post_init__(self) -> None:
        """Validate the fusion.

        Raises:
            CallError: If the method is unknown, the weights do not match the method or the hookpoints, or one of the
                hookpoints has one vector per token.
        """
        tokens = [point for point in self.points if point.pooling == TOKENS]
        if tokens and len(self.points) > 1:
            raise CallError(
                f"'{tokens[0]}' has one vector per token, but a fusion needs one per text: add a pooling, such as :mean"
            )
        if self.method not in METHODS:
            raise CallError(f"unknown method '{self.method}': expected one of {', '.join(METHODS)}")
        if self.method == "mean" and self.weights is not None:
            raise CallError("the method 'mean' has no weights: use 'weighted'")
        if self.method == "weighted" and self.weights is None:
            raise CallError("the method 'weighted' needs weights: pass them, or use 'mean'")
        if self.weights is None:
            return
        if len(self.weights) != len(self.points):
            raise CallError(f"{len(self.weights)} weights for {len(self.points)} hookpoints: expected one each")
        if not all(math.isfinite(weight) and weight > 0 for weight in self.weights):
            raise CallError(f"invalid weights {', '.join(map(str, self.weights))}: expected positive numbers")

    @cached_property
    def shares(self) -> tuple[float, ...]:
        """The weights, scaled to sum to 1."""
        weights = self.weights or (1.0,) * len(self.points)
        return tuple(weight / sum(weights) for weight in weights)

    @property
    def sides(self) -> "tuple[Fusion, Fusion]":
        """The same encoder for queries and documents."""
        return self, self

    @property
    def cosine_shares(self) -> tuple[float, ...] | None:
        """The weights of the blocks' cosines in the cosine of a concatenation; None for other methods."""
        return self.shares if self.method == "concat" else None

    @property
    def adaptor(self) -> None:
        """None: a fusion has no adaptor."""
        return None

    def dim(self, widths: Sequence[int]) -> int:
        """Return the dimension of its vectors: the sum of the blocks' widths for `concat`, else their common width.

        Raises:
            CallError: If the widths differ although they must be equal.
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
        """Join blocks `(N, D_i)` given as arrays; a single block is unchanged."""
        if len(blocks) == 1:
            return blocks[0]
        joined: Embeddings = self.join([torch.from_numpy(block) for block in blocks]).numpy()
        return joined

    def __str__(self) -> str:
        return self.name or "+".join(map(str, self.points))


@dataclass(frozen=True)
class RunFusion:
    """The rankings of several hookpoints as one ranking (late fusion), for comparison with a `Fusion`.

    Attributes:
        points: The hookpoints.
        rule: One of `probe.metrics.run_fusion.RUN_FUSIONS`.
    """

    points: tuple[Hookpoint, ...]
    rule: str

    def combine(self, runs: Sequence[Run]) -> Run:
        """Combine one run per hookpoint into one run."""
        return RUN_FUSIONS[self.rule](runs)

    def __str__(self) -> str:
        return f"{self.rule}({', '.join(map(str, self.points))})"
