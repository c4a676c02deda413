"""A sample of the texts of a healing, as the student and as its teacher embed it."""

from collections.abc import Sequence

import numpy as np
from sentence_transformers import SentenceTransformer
from sentence_transformers.util import batch_to_device
from torch import Tensor

from adaptors.heal_texts import HealTexts
from adaptors.undisturbed import undisturbed
from probe.errors import CallError

__all__ = ["HealSample"]

_SAMPLE = 64


class HealSample:
    """At most 64 different texts; called, it embeds them."""

    def __init__(self, student: SentenceTransformer, texts: HealTexts, seed: int) -> None:
        """Draw a sample.

        Args:
            student: Embeds the texts, cut as long as it takes them now.
            texts: What it is taught.
            seed: Of the draw.

        Raises:
            CallError: There are not two different texts.
        """
        rows = _draw(texts.texts, seed)
        self._student = student
        self._features = student.preprocess([texts.texts[row] for row in rows])
        self._targets = texts.targets[rows]

    def __call__(self) -> tuple[Tensor, Tensor]:
        """Return the student's vectors, as it is now, and its teacher's, each `(B, F)`."""
        features = batch_to_device(dict(self._features), self._student.device)
        with undisturbed(self._student):
            vectors: Tensor = self._student(features)["sentence_embedding"]
        return vectors.float().cpu(), self._targets


def _draw(texts: Sequence[str], seed: int) -> list[int]:
    different = list({text: row for row, text in enumerate(texts)}.values())
    if len(different) < 2:
        raise CallError(f"healing needs at least 2 different texts, found {len(different)}")
    drawn: list[int] = np.random.default_rng(seed).choice(different, min(_SAMPLE, len(different)), False).tolist()
    return drawn
