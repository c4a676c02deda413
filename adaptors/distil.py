"""`distil`: a linear map that learns, without labels, to rank in few dimensions as the whole model does in all."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from adaptors.base import FitData, Projection
from adaptors.collation import StateCollator
from adaptors.draws import draw_rankings, split_texts
from adaptors.fitted import Fitted
from adaptors.linear import mixed_moments, principal_axes, tempered, tempering
from adaptors.losses import RankingDistillationLoss
from adaptors.networks import Network
from adaptors.train_options import TrainOptions
from adaptors.training import Lesson, fingerprint, train

__all__ = ["fit_distil"]

# All chosen on training queries of two data sets; none needs a judgement to fit.
_RATE_FACTOR = 2.0
# Axes the map may draw on, as a multiple of its dimensions.
_AXES = 1.25
# The shortest prefix that is trained for, and how many there are: the dimensions, a half and a quarter of them.
_PREFIXES = 3


class _Student(Network):
    """A map of the first principal axes, which begins as their scaling."""

    kind = "distil"

    def __init__(self, width: int, dim: int) -> None:
        super().__init__(width, dim)
        self.weight = nn.Parameter(torch.eye(width, dim))

    @torch.no_grad()
    def begin(self, axes: Tensor) -> None:
        """See `Network`."""
        self.weight.copy_(axes[:, : self.dim])

    def forward(self, states: Tensor) -> Tensor:
        """Map states `(N, D)` to vectors `(N, dim)`."""
        return states @ self.weight


def fit_distil(data: FitData, dim: int, options: TrainOptions) -> Fitted:
    """Train a linear map so that its prefixes rank documents as the final embeddings do.

    The teacher is the full-width `spectral` map of those; an anchor (a query or a document) gives a softmax over
    candidate documents. The student starts as `spectral` of its own states and minimises the Kullback-Leibler
    divergence to the teacher, summed over its prefixes (as Matryoshka representation learning does, Kusupati et al.,
    NeurIPS 2022).

    Args:
        data: What to fit to; its judgements are not looked at.
        dim: Dimensions to keep.
        options: How to train; the learning rate counts twice, and the loss is its own.

    Returns:
        The projection.

    Raises:
        TrainingError: The training came to nothing.
    """
    values, axes = principal_axes(mixed_moments(data))
    scale = tempering(values)
    kept = min(len(values), round(dim * _AXES))
    rotated = data.texts @ axes
    on_axes = replace(
        tempered(data),
        documents=rotated[: len(data.documents), :kept].contiguous(),
        queries=rotated[len(data.documents) :, :kept].contiguous(),
    )
    student = _Student(kept, dim)
    student.begin(torch.diag(scale[:kept]))
    train_draws, held_out = draw_rankings(
        split_texts(data, options.seed), len(data.documents), options.steps, options.seed
    )
    lesson = Lesson(
        loss=lambda model: RankingDistillationLoss(
            model, [dim >> halvings for halvings in range(_PREFIXES) if dim >> halvings]
        ),
        train=train_draws,
        held_out=held_out,
        collator=StateCollator(on_axes),
        evaluator=None,
        fingerprint=fingerprint(student, data, options),
    )
    epochs = train(student, lesson, replace(options, rate=options.rate * _RATE_FACTOR))
    return Fitted(Projection.of(axes[:, :kept] @ student.weight.detach()), epochs)
