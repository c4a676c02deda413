"""Agreement of a healed encoder with its teacher, on held-out texts."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.evaluation import SentenceEvaluator
from torch import Tensor

from adaptors.healing.embedding import TextBatches, batch_texts, embed_batches
from adaptors.healing.texts import HealTexts

__all__ = ["Agreement", "HeldOutTexts", "measure_agreement"]

_NEIGHBOURS = 10


@dataclass(frozen=True)
class Agreement:
    """Agreement with the teacher on held-out texts.

    Attributes:
        cosine: Mean cosine of student's and teacher's vector of a text; 1 if they are equal.
        neighbours: Share of a text's ten nearest neighbours that it also has with the teacher.
    """

    cosine: float
    neighbours: float

    def __str__(self) -> str:
        """Return it as text."""
        return f"cosine {self.cosine:.4f}, nearest neighbours in common {self.neighbours:.1%}"


class HeldOutTexts(SentenceEvaluator):
    """Compares an encoder with its teacher on held-out texts.

    Attributes:
        primary_metric: Name of the metric that chooses the state; higher is better.
        seconds: Duration of the last evaluation.
    """

    def __init__(self, texts: HealTexts, clock: Callable[[], float] = time.monotonic) -> None:
        """Take the held-out texts with their teacher's vectors."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.primary_metric = "cosine"
        self.seconds = 0.0
        self._clock = clock
        self._texts, self._targets = texts.texts, texts.targets
        self._nearest = _nearest(self._targets)
        # Tokenized once for all evaluations of an encoder.
        self._batches: TextBatches | None = None
        self._tokenized_for: tuple[Any, int | None] = (None, None)

    def measure(self, model: SentenceTransformer) -> Agreement:
        """Measure an encoder with the teacher's dimension, in evaluation mode."""
        began = self._clock()
        vectors = embed_batches(model, self._tokenize(model))
        found = _compare(vectors, self._targets, self._nearest)
        self.seconds = self._clock() - began
        return found

    def _tokenize(self, model: SentenceTransformer) -> TextBatches:
        """Return the texts as inputs of an encoder."""
        wanted = (model, model.max_seq_length)
        if self._batches is None or self._tokenized_for != wanted:
            drawn = batch_texts(model, self._texts)
            self._batches, self._tokenized_for = TextBatches(drawn.rows, [*drawn.features]), wanted
        return self._batches

    def __call__(
        self, model: Any, output_path: str | None = None, epoch: int = -1, steps: int = -1
    ) -> dict[str, float]:
        """Return the agreement by metric name."""
        found = self.measure(model)
        return {"cosine": found.cosine, "neighbours": found.neighbours}


def measure_agreement(vectors: Tensor, targets: Tensor) -> Agreement:
    """Return the agreement of unit vectors with the teacher's of the same texts, both `(N, D)`."""
    return _compare(vectors, targets, _nearest(targets))


def _compare(vectors: Tensor, targets: Tensor, nearest: list[list[int]]) -> Agreement:
    cosine = float((vectors * targets).sum(dim=1).mean())
    common = [len(set(own) & set(theirs)) for own, theirs in zip(_nearest(vectors), nearest, strict=True)]
    wanted = sum(map(len, nearest))
    return Agreement(cosine, sum(common) / wanted if wanted else 1.0)


def _nearest(vectors: Tensor) -> list[list[int]]:
    """Return the rows of the nearest neighbours of every unit vector `(N, D)`."""
    cosines = vectors @ vectors.T
    cosines.fill_diagonal_(-torch.inf)
    found: list[list[int]] = cosines.topk(min(_NEIGHBOURS, len(vectors) - 1), dim=1).indices.tolist()
    return found
