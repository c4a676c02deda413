"""MaxSim: the sum of every query token's highest similarity to a document's tokens."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from probe.encoding.token_states import pack_tokens, unit_tokens
from probe.errors import CallError
from probe.layers.pooling import pool_cls
from probe.metrics.vectors import Embeddings, unit
from probe.models.tokenization import plan_batches

__all__ = ["MAXSIM", "TILE", "QueryTokens", "maxsim"]

# Maximum number of cosines of query and document tokens in memory at a time.
TILE = 1 << 20
# The shorter side of a tile, in query tokens.
_QUERY_SIDE = 512
_PROCESSOR = torch.device("cpu")

# Shown in settings; also part of the key of stored scores.
MAXSIM = (
    "MaxSim, the sum over a query's tokens of the largest cosine to a token of the document (ColBERT); all tokens "
    "count, special tokens and punctuation too, padding never; queries are not expanded; float32, not rounded"
)


@dataclass(frozen=True)
class QueryTokens:
    """The tokens of Q queries, for comparison with documents.

    Attributes:
        tokens: Unit vectors of all S tokens `(S, D)`, on the device of the comparison.
        owners: Index of each token's query `(S,)`, on the CPU.
        count: Q.
    """

    tokens: Tensor
    owners: Tensor
    count: int

    @classmethod
    def join(cls, chunks: Sequence[Embeddings], counts: Sequence[int], device: torch.device) -> "QueryTokens":
        """Join queries that were encoded in chunks.

        Args:
            chunks: Unit token vectors packed by `pack_tokens`, per chunk.
            counts: Number of queries per chunk.
            device: Device of the comparison.

        Returns:
            The queries, numbered consecutively.
        """
        first = np.cumsum([0, *counts])
        owners = [packed[:, -1].astype(np.int64) + start for packed, start in zip(chunks, first[:-1], strict=True)]
        tokens = np.concatenate([packed[:, :-1] for packed in chunks])
        return cls(torch.from_numpy(tokens).to(device), torch.from_numpy(np.concatenate(owners)), int(first[-1]))

    @property
    def lowest(self) -> Embeddings:
        """Minimum score per query `(Q,)`: -1 per token; the score of a document without tokens."""
        return -np.bincount(self.owners.numpy(), minlength=self.count).astype(np.float32)

    def score(self, hidden: Tensor, mask: Tensor, tile: int = TILE) -> Tensor:
        """Return the scores of B documents; a pooling, from token states to one vector per text.

        Maxima are summed in float64, so that the order of summation does not affect the float32 result.

        Args:
            hidden: Token states of the documents `(B, T, D)`.
            mask: 1 for tokens, 0 for padding, `(B, T)`; at least one token per document.
            tile: Maximum number of cosines in memory at a time (at least those of one document with one token).

        Returns:
            Float32 `(B, Q)`, on the CPU.
        """
        units = unit_tokens(hidden, mask)
        # A duplicate token changes no maximum, so overwriting the padding avoids masking the cosines.
        documents = torch.where(mask.unsqueeze(-1) == 0, pool_cls(units, mask).unsqueeze(1), units)
        sums = torch.zeros(self.count, len(documents), dtype=torch.float64)
        for asked, found in _tiles(len(self.tokens), documents.shape[0], documents.shape[1], tile=tile):
            best = _largest_cosines(self.tokens[asked], documents[found])
            sums[:, found].index_add_(0, self.owners[asked], best.cpu().double())
        return sums.T.float()


def _tiles(tokens: int, documents: int, longest: int, *, tile: int) -> Iterator[tuple[slice, slice]]:
    """Yield slices of query tokens and documents whose cosines fit into a tile."""
    many = max(1, tile // _QUERY_SIDE // longest)
    for first in range(0, documents, many):
        found = slice(first, min(first + many, documents))
        side = max(1, tile // ((found.stop - found.start) * longest))
        yield from ((slice(start, start + side), found) for start in range(0, tokens, side))


def _largest_cosines(queries: Tensor, documents: Tensor) -> Tensor:
    """Return each query token's largest cosine `(S, B)` to a token of each document `(B, T, D)`."""
    cosines = queries @ documents.flatten(0, 1).T
    return cosines.view(len(queries), *documents.shape[:2]).amax(dim=2)


def maxsim(queries: Sequence[Embeddings], documents: Sequence[Embeddings], tile: int = TILE) -> Embeddings:
    """Score documents for queries by late interaction (ColBERT, Khattab and Zaharia, SIGIR 2020, section 3.3).

    The score of query q and document d is the sum over q's tokens of the largest cosine to a token of d.

    Args:
        queries: Token states `(T_i, D)` of Q queries, of any length; a query without tokens scores 0.
        documents: Token states `(T_j, D)` of C documents.
        tile: Maximum number of cosines in memory at a time (at least those of one document with one token).

    Returns:
        Float32 scores `(Q, C)`; documents without tokens get -1 per query token, the minimum.

    Raises:
        CallError: If tokens differ in dimension.
    """
    queries, documents = ([np.asarray(text, np.float32) for text in side] for side in (queries, documents))
    width = _width(queries, documents)
    asked = QueryTokens.join([pack_tokens([unit(text) for text in queries], width)], [len(queries)], _PROCESSOR)
    scores = np.tile(asked.lowest, (len(documents), 1))
    for rows in plan_batches([len(text) for text in documents], max(1, tile // _QUERY_SIDE)):
        hidden = torch.nn.utils.rnn.pad_sequence([torch.from_numpy(documents[row]) for row in rows], batch_first=True)
        lengths = torch.tensor([len(documents[row]) for row in rows])
        mask = torch.arange(hidden.shape[1]) < lengths.unsqueeze(1)
        scores[rows] = asked.score(hidden, mask, tile).numpy()
    return np.ascontiguousarray(scores.T)


def _width(queries: Sequence[Embeddings], documents: Sequence[Embeddings]) -> int:
    widths = sorted({text.shape[1] for text in (*queries, *documents)})
    if len(widths) > 1:
        raise CallError(f"query tokens have {widths[0]} dimensions, document tokens {widths[1]}: expected the same")
    return widths[0] if widths else 1
