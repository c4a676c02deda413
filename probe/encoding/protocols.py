"""The interface of everything that embeds texts."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from probe.metrics.vectors import Embeddings

__all__ = ["Encoder", "LateEncoder"]


@runtime_checkable
class Encoder(Protocol):
    """Anything that maps texts to vectors: a hookpoint, a cut, fused or adapted model, or a custom encoder."""

    def encode_query(self, texts: Sequence[str]) -> Embeddings:
        """Embed queries, prompt included; returns float32 vectors `(N, D)`."""

    def encode_document(self, texts: Sequence[str]) -> Embeddings:
        """Embed documents, prompt included; returns float32 vectors `(N, D)`."""


class LateEncoder(Protocol):
    """Anything that maps texts to token vectors: a token hookpoint, a `MultiVectorEncoder`, or a custom encoder."""

    def encode_query(self, texts: Sequence[str]) -> Sequence[Any]:
        """Embed queries, prompt included; returns an array or tensor `(T_i, D)` per text."""

    def encode_document(self, texts: Sequence[str]) -> Sequence[Any]:
        """Embed documents, prompt included; returns an array or tensor `(T_i, D)` per text."""
