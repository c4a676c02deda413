"""The vectors of texts during a healing, in batches of similar length."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.util import batch_to_device
from torch import Tensor
from torch.nn.functional import normalize

from adaptors.training.evaluation import evaluation_mode

__all__ = ["TextBatches", "batch_texts", "embed_batches", "embed_texts"]

_BATCH = 32


def embed_texts(
    model: SentenceTransformer, texts: Sequence[str], progress: Callable[[int, int], None] | None = None
) -> Tensor:
    """Encode texts with prompts, in evaluation mode.

    Args:
        model: The model.
        texts: N texts.
        progress: Called after every batch with its number of texts and N.

    Returns:
        Unit vectors `(N, D)`.
    """
    return embed_batches(model, batch_texts(model, texts), progress)


@dataclass(frozen=True)
class TextBatches:
    """Texts as inputs of an encoder, in batches of similar length.

    Attributes:
        rows: The rows of the texts of every batch.
        features: The input of every batch, made when it is read.
    """

    rows: list[list[int]]
    features: Iterable[dict[str, Any]]


def batch_texts(model: SentenceTransformer, texts: Sequence[str]) -> TextBatches:
    """Return texts with prompts in batches; they are tokenized one batch at a time."""
    order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
    rows = [order[start : start + _BATCH] for start in range(0, len(order), _BATCH)]
    return TextBatches(rows, (model.preprocess([texts[row] for row in piece]) for piece in rows))


def embed_batches(
    model: SentenceTransformer, batches: TextBatches, progress: Callable[[int, int], None] | None = None
) -> Tensor:
    """Return the unit vectors `(N, D)` of texts in batches, in the order of the texts; see `embed_texts`."""
    found, order = [], [row for piece in batches.rows for row in piece]
    with evaluation_mode(model):
        for piece, features in zip(batches.rows, batches.features, strict=True):
            vectors = model(batch_to_device(dict(features), model.device))["sentence_embedding"]
            found.append(vectors.float().cpu())
            if progress is not None:
                progress(len(piece), len(order))
    return normalize(torch.cat(found)[torch.tensor(order).argsort()], dim=1)
