"""`distil`: a linear map that learns, without labels, to rank in few dimensions as the whole model does in all."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from adaptors.base import FitData, Projection
from adaptors.collation import StateCollator
from adaptors.draws import draw_rankings, split_texts
from adaptors.epochs import Epoch
from adaptors.fitted import Fitted
from adaptors.linear import fit_lens, mixed_moments, principal_axes, tempered, tempering
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
    """A linear map `x W + b` that begins as a given one."""

    kind = "distil"

    def __init__(self, width: int, dim: int) -> None:
        super().__init__(width, dim)
        self.weight = nn.Parameter(torch.eye(width, dim))
        self.bias = nn.Parameter(torch.zeros(dim))

    @torch.no_grad()
    def begin(self, axes: Tensor) -> None:
        """See `Network`; it draws on as many axes as it is wide."""
        self.weight.copy_(axes[: self.width, : self.dim])
        self.bias.requires_grad_(False)

    @torch.no_grad()
    def imitate(self, lens: Projection) -> None:
        """Become a lens."""
        self.weight.copy_(lens.weight)
        self.bias.copy_(lens.bias)

    def forward(self, states: Tensor) -> Tensor:
        """Map states `(N, D)` to vectors `(N, dim)`."""
        return states @ self.weight + self.bias


def fit_distil(data: FitData, dim: int, options: TrainOptions) -> Fitted:
    """Train a linear map so that its prefixes rank documents as the final embeddings do.

    The teacher is the full-width `spectral` map of those; an anchor (a query or a document) gives a softmax over
    candidate documents. On final embeddings the student starts as `spectral`, too; on inner layers as the ridge
    regression to the teacher's first dimensions, for their own axes tell little of it. It minimises the
    Kullback-Leibler divergence to the teacher, summed over its prefixes (as Matryoshka representation learning does,
    Kusupati et al., NeurIPS 2022).

    Args:
        data: What to fit to; its judgements are not looked at.
        dim: Dimensions to keep.
        options: How to train; the learning rate counts twice, and the loss is its own.

    Returns:
        The projection.

    Raises:
        TrainingError: The training came to nothing.
    """
    taught = tempered(data)
    if data.is_final:
        values, axes = principal_axes(mixed_moments(data))
        kept = min(len(values), round(dim * _AXES))
        student = _Student(kept, dim)
        student.begin(torch.diag(tempering(values)))
        epochs = _train(student, _rotate(taught, axes[:, :kept]), options)
        return Fitted(Projection.of(axes[:, :kept] @ student.weight.detach()), epochs)
    student = _Student(data.documents.shape[1], dim)
    student.imitate(fit_lens(taught, dim))
    epochs = _train(student, taught, options)
    return Fitted(Projection.of(student.weight.detach(), student.bias.detach()), epochs)


def _rotate(data: FitData, axes: Tensor) -> FitData:
    """Return the states on some axes; training on few is faster."""
    return replace(data, documents=data.documents @ axes, queries=data.queries @ axes)


def _train(student: _Student, data: FitData, options: TrainOptions) -> tuple[Epoch, ...]:
    dim, documents = student.dim, len(data.documents)
    draws, held_out = draw_rankings(split_texts(data, options.seed), documents, options.steps, options.seed)
    prefixes = [dim >> halvings for halvings in range(_PREFIXES) if dim >> halvings]
    lesson = Lesson(
        loss=lambda model: RankingDistillationLoss(model, prefixes),
        train=draws,
        held_out=held_out,
        collator=StateCollator(data),
        evaluator=None,
        fingerprint=fingerprint(student, data, options),
    )
    return train(student, lesson, replace(options, rate=options.rate * _RATE_FACTOR))
