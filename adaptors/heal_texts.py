"""The texts a cut encoder is healed on, and what the full model says of them: no label is looked at."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor
from torch.nn.functional import normalize

from adaptors.gathering import FitTexts
from probe.errors import ModelError
from probe.hookpoints import own_pooling
from probe.reader import LayerReader
from probe.states import Progress, PromptedTexts, RunContext, prompted_documents, prompted_queries, read_states, silent
from probe.store import Store

__all__ = ["HealTexts", "check_width", "draw_batches", "gather_heal_texts"]

# Batches whose texts are sorted by length together, so that little of a batch is padding.
_WINDOW = 16


@dataclass(frozen=True)
class HealTexts:
    """Texts with their teacher's vectors.

    Attributes:
        texts: The texts, with their prompts before them.
        targets: The full model's final embeddings of length 1 `(N, F)`.
        seen: Name of every data set they come from, and sha256 of its documents.
    """

    texts: tuple[str, ...]
    targets: Tensor
    seen: tuple[tuple[str, str], ...]


def gather_heal_texts(
    teacher: LayerReader, data: Sequence[FitTexts], store: Store | None = None, progress: Progress = silent
) -> HealTexts:
    """Read the full model's vectors of corpora and training queries, from the store where they are there.

    Args:
        teacher: The full model's reader.
        data: The texts that may be looked at.
        store: Where states are read and kept, if anywhere.
        progress: Told about every batch.

    Returns:
        The texts, documents before queries, one data set after another.
    """
    place = (teacher.model.depth, own_pooling(teacher.model))
    texts: list[str] = []
    vectors = []
    for side in (side for one in data for side in _sides(teacher, one)):
        vectors += [chunk.vectors[place] for chunk in read_states(teacher, side, [place], RunContext(store, progress))]
        texts += [side.prompt + text for _, text in side.texts]
    targets = normalize(torch.from_numpy(np.concatenate(vectors)), dim=1)
    seen = tuple((one.corpus.name, one.corpus.documents.text_hash) for one in data)
    return HealTexts(tuple(texts), targets, seen)


def _sides(teacher: LayerReader, data: FitTexts) -> Iterator[PromptedTexts]:
    yield prompted_documents(teacher, data.corpus)
    if data.train is not None:
        yield prompted_queries(teacher, data.train)


def check_width(student: SentenceTransformer, texts: HealTexts) -> None:
    """Refuse a student whose vectors cannot be compared with its teacher's.

    Args:
        student: The cut encoder.
        texts: What it is taught.

    Raises:
        ModelError: It has another dimension than its teacher.
    """
    width = student.get_embedding_dimension()
    if width != texts.targets.shape[1]:
        raise ModelError(f"it gives vectors of {width} dimensions, and its teacher of {texts.targets.shape[1]}")


def draw_batches(lengths: Sequence[int], batch: int, steps: int, seed: int) -> list[list[int]]:
    """Draw batches of texts that are about equally long; every text comes once before any comes again.

    Args:
        lengths: Tokens of every text `(N,)`.
        batch: Texts in a batch.
        steps: Batches to draw.
        seed: Of the order.

    Returns:
        Rows of texts, batch by batch.
    """
    dice, sizes = np.random.default_rng(seed), np.array(lengths)
    drawn: list[list[int]] = []
    while len(drawn) < steps:
        order = dice.permutation(len(sizes))
        windows = [order[start : start + batch * _WINDOW] for start in range(0, len(order), batch * _WINDOW)]
        pieces = [
            rows[start : start + batch].tolist()
            for rows in (window[np.argsort(sizes[window], kind="stable")] for window in windows)
            for start in range(0, len(rows), batch)
        ]
        drawn += [pieces[place] for place in dice.permutation(len(pieces))]
    return drawn[:steps]
