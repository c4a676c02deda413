"""A sample of texts that a training encodes, to look at its vectors before, during and after it."""

import numpy as np
from sentence_transformers import SentenceTransformer
from sentence_transformers.util import batch_to_device
from torch import Tensor

from adaptors.healing.texts import HealTexts
from adaptors.training.evaluation import evaluation_mode
from probe.errors import CallError

__all__ = ["HealSample"]

_SAMPLE = 64


class HealSample:
    """At most 64 different texts; a call encodes them."""

    def __init__(self, model: SentenceTransformer, texts: HealTexts, seed: int) -> None:
        """Draw a sample of training texts, truncated to the encoder's current maximum input length.

        Raises:
            CallError: There are fewer than two different texts.
        """
        different = texts.distinct_rows()
        if len(different) < 2:
            raise CallError(f"healing needs at least 2 different texts, found {len(different)}")
        rows = np.random.default_rng(seed).choice(different, min(_SAMPLE, len(different)), False).tolist()
        self._model = model
        self._features = model.preprocess([texts.texts[row] for row in rows])
        self._targets = texts.targets[rows]

    def __call__(self) -> tuple[Tensor, Tensor]:
        """Return the current vectors of the encoder, and those of its teacher, each `(B, F)`."""
        features = batch_to_device(dict(self._features), self._model.device)
        with evaluation_mode(self._model):
            vectors: Tensor = self._model(features)["sentence_embedding"]
        return vectors.float().cpu(), self._targets
