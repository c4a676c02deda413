"""Losses of the cosines of several prefixes, for the matrix products of the longest one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ["Judge", "prefix_lengths", "prefix_loss", "ranking_lengths"]

# The loss of cosines `(N, M)`, and its gradient with respect to them; the cosines are not modified.
Judge = Callable[[Tensor], tuple[Tensor, Tensor]]

# As in `torch.nn.functional.normalize`: shorter vectors are not scaled up further.
_TINY = 1e-12
_SHORTEST = 32
_RANKED = 3


def prefix_lengths(dim: int) -> tuple[int, ...]:
    """Return the dimension, halved repeatedly down to 32."""
    lengths = [dim >> halvings for halvings in range(dim.bit_length()) if dim >> halvings >= _SHORTEST]
    return tuple(lengths) or (dim,)


def ranking_lengths(dim: int) -> tuple[int, ...]:
    """Return the dimension, a half and a quarter of it.

    Shorter prefixes outweigh these in a sum of divergences, and on small corpora held-out texts then choose epochs that
    rank worse in all dimensions.
    """
    return tuple(dim >> halvings for halvings in range(_RANKED) if dim >> halvings)


def prefix_loss(left: Tensor, right: Tensor | None, dims: Sequence[int], *, judge: Judge) -> Tensor:
    """Return the sum over prefixes of a loss of the cosines between all rows of two sides.

    A product of longer prefixes is that of shorter ones plus that of the dimensions in between, and likewise for the
    gradients. So all prefixes together need the matrix products of the longest. Gradients are computed along with the
    loss, and only once: the result has no second derivatives.

    Args:
        left: Rows `(N, D)`.
        right: Rows `(M, D)`; None for the left ones, where the gradients of `judge` have to be symmetric.
        dims: Lengths of the prefixes.
        judge: The loss of one prefix.

    Returns:
        The sum, a scalar.
    """
    wide = torch.promote_types(left.dtype, torch.float32)
    with torch.autocast(left.device.type, enabled=False):
        apply: Callable[..., Tensor] = _PrefixLoss.apply
        return apply(left.to(wide), None if right is None else right.to(wide), dims, judge)


@dataclass(frozen=True)
class _Side:
    """One side of the cosines.

    Attributes:
        rows: Its rows `(N, D)`.
        scales: 1 over the length of every row, per prefix `(N,)`.
    """

    rows: Tensor
    scales: list[Tensor]

    @classmethod
    def of(cls, rows: Tensor, ends: Sequence[int]) -> "_Side":
        """Measure all prefixes of rows."""
        squares = [rows[:, start:end].square().sum(dim=1) for start, end in pairwise((0, *ends))]
        lengths = torch.stack(squares).cumsum(dim=0).sqrt().clamp(min=_TINY)
        return cls(rows, list(lengths.reciprocal()))


@dataclass(frozen=True)
class _Slope:
    """Gradients of the loss of one prefix.

    Attributes:
        dots: With respect to the products of the rows `(N, M)`.
        left: With respect to the lengths of the left rows, divided by them `(N,)`.
        right: The same for the right rows `(M,)`.
    """

    dots: Tensor
    left: Tensor
    right: Tensor


class _PrefixLoss(torch.autograd.Function):
    """The sum of the losses, with gradients computed in the forward pass."""

    @staticmethod
    def forward(ctx: Any, *given: Any) -> Tensor:
        """Return the sum of the losses of all prefixes, given the arguments of `prefix_loss`."""
        left, right, dims, judge = given
        ends = sorted(min(dim, left.shape[1]) for dim in dims)
        one = _Side.of(left, ends)
        other = one if right is None else _Side.of(right, ends)
        needs_slopes = any(ctx.needs_input_grad[:2])
        losses, slopes = [], []
        dots = left.new_zeros(len(one.rows), len(other.rows))
        for number, (start, end) in enumerate(pairwise((0, *ends))):
            dots = torch.addmm(dots, one.rows[:, start:end], other.rows[:, start:end].T)
            scales, others = one.scales[number].unsqueeze(1), other.scales[number]
            cosines = (dots * scales).mul_(others)
            loss, slope = judge(cosines)
            losses.append(loss)
            if needs_slopes:
                lengths = cosines.mul_(slope)
                by_left, by_right = (
                    lengths.sum(dim=1) * scales.squeeze(1).square(),
                    lengths.sum(dim=0) * others.square(),
                )
                slopes.append(_Slope(slope.mul_(scales).mul_(others), by_left, by_right))
        if needs_slopes:
            ctx.save_for_backward(*_gradients(one, None if right is None else other, slopes, ends=ends))
        return torch.stack(losses).sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, factor: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of both sides."""
        found = [gradient * factor for gradient in ctx.saved_tensors]
        return (found[0], found[1] if len(found) > 1 else None, None, None)


def _gradients(one: _Side, other: _Side | None, slopes: Sequence[_Slope], *, ends: Sequence[int]) -> list[Tensor]:
    """Return the gradients of the rows of one side, or of both, `(N, D)` and `(M, D)`."""
    sides = [side for side in (one, other) if side is not None]
    found = [torch.zeros_like(side.rows) for side in sides]
    # The dimensions of a segment belong to its own prefix and to all longer ones.
    dots, left, right = (torch.zeros_like(part) for part in vars(slopes[0]).values())
    for (start, end), slope in zip(reversed([*pairwise((0, *ends))]), reversed(slopes), strict=True):
        dots, left, right = dots.add_(slope.dots), left + slope.left, right + slope.right
        segments = [side.rows[:, start:end] for side in sides]
        if other is None:
            both = (dots + dots.T) @ segments[0]
            found[0][:, start:end] = both.sub_((left + right).unsqueeze(1) * segments[0])
        else:
            found[0][:, start:end] = (dots @ segments[1]).sub_(left.unsqueeze(1) * segments[0])
            found[1][:, start:end] = (dots.T @ segments[0]).sub_(right.unsqueeze(1) * segments[1])
    return found
