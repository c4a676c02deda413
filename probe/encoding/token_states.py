"""Token states: one vector per token, and their packing into one array."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from torch import Tensor
from torch.nn.functional import normalize

from probe.metrics.vectors import Embeddings
from probe.models.tokenization import Batch

__all__ = ["Rows", "TokenRows", "VectorRows", "pack_tokens", "unit_tokens", "unpack_tokens"]


def unit_tokens(hidden: Tensor, mask: Tensor) -> Tensor:
    """Return token states `(B, T, D)` scaled to length 1, special tokens included; zeros for padding."""
    return normalize(hidden, dim=2).masked_fill(mask.unsqueeze(-1) == 0, 0.0)


def pack_tokens(texts: Sequence[Embeddings], width: int) -> Embeddings:
    """Pack the token states of N texts into one array.

    Args:
        texts: Float32 `(T_i, D)` per text; T_i may be 0.
        width: D.

    Returns:
        Float32 `(S, D + 1)` for S tokens in total, one text after another; the last column is the text's index.
    """
    numbers = np.repeat(np.arange(len(texts), dtype=np.float32), [len(text) for text in texts])
    return np.column_stack([np.concatenate([np.empty((0, width), np.float32), *texts]), numbers])


def unpack_tokens(packed: Embeddings, count: int) -> list[Embeddings]:
    """Return the token states `(T_i, D)` of each of `count` texts from an array made by `pack_tokens`."""
    borders = np.searchsorted(packed[:, -1], np.arange(1, count))
    return np.split(np.ascontiguousarray(packed[:, :-1]), borders)


class Rows(Protocol):
    """Collector of states at one layer and pooling, filled batch by batch and returned in the order of the texts."""

    def take(self, batch: Batch, states: Tensor) -> None:
        """Add the states of a batch."""

    def join(self) -> Embeddings:
        """Return the states of all texts."""


class VectorRows:
    """One vector per text."""

    def __init__(self, empty: Embeddings, count: int) -> None:
        """Create a collector for `count` texts; `empty` `(D,)` is the vector of a text without tokens."""
        self._vectors = np.tile(empty, (count, 1))

    def take(self, batch: Batch, states: Tensor) -> None:
        """Add a batch's vectors `(B, D)`."""
        self._vectors[batch.rows] = states.cpu().numpy()

    def join(self) -> Embeddings:
        """Return the vectors `(N, D)`."""
        return self._vectors


class TokenRows:
    """Token vectors."""

    def __init__(self, count: int, width: int) -> None:
        """Create a collector for `count` texts; states have `width` dimensions."""
        self._texts = [np.empty((0, width), np.float32)] * count
        self._width = width

    def take(self, batch: Batch, states: Tensor) -> None:
        """Add a batch's token states `(B, T, D)`."""
        for row, state, mask in zip(batch.rows, states.cpu(), batch.attention_mask.bool(), strict=True):
            self._texts[row] = state[mask].numpy()

    def join(self) -> Embeddings:
        """Return the tokens of all texts, as packed by `pack_tokens`."""
        return pack_tokens(self._texts, self._width)
