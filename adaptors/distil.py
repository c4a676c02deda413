"""`distil`: a linear map that learns, without labels, to rank in few dimensions as the frozen encoder does in all."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import kl_div, normalize

from adaptors.base import FitData, Projection
from adaptors.linear import mixed_moments, principal_axes, tempering

__all__ = ["fit_distil"]

# All chosen on training queries of two data sets; none needs a judgement to fit.
_STEPS = 300
_ANCHORS = 256
_CANDIDATES = 1024
_RATE = 2e-3
_LAST_RATE = 0.05
_TEMPERATURE = 0.03
# Axes the map may draw on, as a multiple of its dimensions.
_AXES = 1.25
# The shortest prefix that is trained for, and how many there are: the dimensions, a half and a quarter of them.
_PREFIXES = 3


def fit_distil(data: FitData, dim: int, seed: int = 0) -> Projection:
    """Train a linear map so that its prefixes rank documents as the whole states do.

    The teacher is the full-width `spectral` map; an anchor (a query or a document) gives a softmax over candidate
    documents. The student starts as `spectral` and minimises the Kullback-Leibler divergence to the teacher, summed
    over its prefixes (as Matryoshka representation learning does, Kusupati et al., NeurIPS 2022).

    Args:
        data: What to fit to; its judgements are not looked at.
        dim: Dimensions to keep.
        seed: Of the anchors and candidates.

    Returns:
        The projection.
    """
    values, axes = principal_axes(mixed_moments(data))
    scale = tempering(values)
    rotated = torch.cat([data.queries, data.documents]) @ axes
    teacher = normalize(rotated * scale, dim=1)
    kept = min(len(values), round(dim * _AXES))
    states = rotated[:, :kept].contiguous()
    weight = nn.Parameter(torch.diag(scale[:kept])[:, :dim].clone())
    optimizer = torch.optim.Adam([weight], lr=_RATE)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, _LAST_RATE, _STEPS)
    prefixes = [dim >> halvings for halvings in range(_PREFIXES) if dim >> halvings]
    for anchors, candidates in _draw(len(data.queries), len(data.documents), seed):
        same = anchors.unsqueeze(1) == candidates
        wanted = _rankings(teacher[anchors], teacher[candidates], same)
        left, right = states[anchors] @ weight, states[candidates] @ weight
        loss = torch.stack([_divergence(left[:, :k], right[:, :k], same, wanted) for k in prefixes]).sum()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    return Projection.of(axes[:, :kept] @ weight.detach())


def _draw(queries: int, documents: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield rows of anchors, half of them queries where there are some, and of candidate documents."""
    dice = torch.Generator().manual_seed(seed)
    asked = _ANCHORS // 2 if queries else 0
    for _ in range(_STEPS):
        anchors = [torch.randint(0, queries, (asked,), generator=dice)] if asked else []
        anchors.append(queries + torch.randint(0, documents, (_ANCHORS - asked,), generator=dice))
        yield torch.cat(anchors), queries + torch.randperm(documents, generator=dice)[:_CANDIDATES]


def _rankings(anchors: Tensor, candidates: Tensor, same: Tensor) -> Tensor:
    """Return log-softmax of cosines `(A, C)` of unit vectors; a text is no candidate of itself."""
    return (anchors @ candidates.T / _TEMPERATURE).masked_fill(same, -1e4).log_softmax(dim=1)


def _divergence(anchors: Tensor, candidates: Tensor, same: Tensor, wanted: Tensor) -> Tensor:
    found = _rankings(normalize(anchors, dim=1), normalize(candidates, dim=1), same)
    return kl_div(found, wanted, log_target=True, reduction="batchmean")
