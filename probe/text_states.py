"""States of texts that are neither documents nor queries: all under one prompt, held in memory."""

from collections.abc import Sequence

import numpy as np

from probe.encoder import Embeddings
from probe.hookpoint import Hookpoint, Place
from probe.reader import LayerReader, select_hookpoints
from probe.states import Progress, Side, read_side
from probe.store import Store
from probe.texts import Texts

__all__ = ["read_texts", "with_full_model"]


def with_full_model(
    reader: LayerReader, layers: str, poolings: Sequence[str]
) -> tuple[tuple[Hookpoint, ...], Hookpoint]:
    """Expand layers and poolings into hookpoints, the full model among them.

    Args:
        reader: The model's reader.
        layers: `all`, `0-6` or `1,3,5`.
        poolings: Poolings to read at every layer; `own` is the model's.

    Returns:
        All hookpoints, and the full model's.

    Raises:
        CallError: A layer or pooling is wrong.
    """
    points = select_hookpoints(reader.model, layers, poolings)
    pooling = reader.model.pooling or points[0].place[1]
    full = Hookpoint(reader.model.source.name, reader.model.depth, pooling)
    return tuple(dict.fromkeys([*points, full])), full


def read_texts(
    reader: LayerReader,
    parts: Sequence[tuple[str, Texts]],
    places: Sequence[Place],
    kept: tuple[Store | None, Progress],
) -> tuple[dict[Place, Embeddings], int]:
    """Return the states of texts under the model's document prompt.

    Args:
        reader: The model's reader.
        parts: Texts, each part with the name of its data set; the store keeps every part by itself.
        places: Layers and poolings to read.
        kept: The store, if any, and who is told about every batch.

    Returns:
        Float32 `(N, D)` per place, parts one after another; and how many texts were longer than the model takes.
    """
    prompt = reader.model.document_prompt
    chunks = [
        chunk for name, texts in parts for chunk in read_side(reader, Side("texts", texts, prompt, name), places, *kept)
    ]
    states = {place: np.concatenate([chunk.vectors[place] for chunk in chunks]) for place in places}
    return states, sum(chunk.truncated for chunk in chunks)
