"""How near a healed encoder is to its teacher, on texts that it does not learn from."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.evaluation import SentenceEvaluator
from torch import Tensor

from adaptors.healing.texts import HealTexts, embed_texts

__all__ = ["Agreement", "HeldOutTexts"]

_NEIGHBOURS = 10


@dataclass(frozen=True)
class Agreement:
    """Agreement with the teacher on texts that were held out.

    Attributes:
        cosine: Mean cosine of a text's vectors; 1 where they are the teacher's.
        neighbours: Share of a text's ten nearest among the others that are its nearest for the teacher, too.
    """

    cosine: float
    neighbours: float

    def __str__(self) -> str:
        """Return it in words."""
        return f"cosine {self.cosine:.4f}, nearest neighbours in common {self.neighbours:.1%}"


class HeldOutTexts(SentenceEvaluator):
    """Compares an encoder with its teacher on texts that were held out.

    Attributes:
        primary_metric: The name of what chooses among states: greater is better.
        seconds: What the last evaluation took, by the clock.
    """

    def __init__(self, texts: HealTexts, clock: Callable[[], float] = time.monotonic) -> None:
        """Take the texts that were held out, with their teacher's vectors."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.primary_metric = "cosine"
        self.seconds = 0.0
        self._clock = clock
        self._texts, self._targets = texts.texts, texts.targets
        self._nearest = _nearest(self._targets)

    def measure(self, model: SentenceTransformer) -> Agreement:
        """Measure an encoder whose vectors have the teacher's dimension, as it is in use."""
        began = self._clock()
        vectors = embed_texts(model, self._texts)
        cosine = float((vectors * self._targets).sum(dim=1).mean())
        common = [len(set(own) & set(theirs)) for own, theirs in zip(_nearest(vectors), self._nearest, strict=True)]
        wanted = sum(map(len, self._nearest))
        self.seconds = self._clock() - began
        return Agreement(cosine, sum(common) / wanted if wanted else 1.0)

    def __call__(
        self, model: Any, output_path: str | None = None, epoch: int = -1, steps: int = -1
    ) -> dict[str, float]:
        """Return the agreement by names."""
        found = self.measure(model)
        return {"cosine": found.cosine, "neighbours": found.neighbours}


def _nearest(vectors: Tensor) -> list[list[int]]:
    """Return the rows of the nearest others of every unit vector `(N, D)`."""
    cosines = vectors @ vectors.T
    cosines.fill_diagonal_(-torch.inf)
    found: list[list[int]] = cosines.topk(min(_NEIGHBOURS, len(vectors) - 1), dim=1).indices.tolist()
    return found
