"""The one interface everything that embeds texts has."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

__all__ = ["Embeddings", "Encoder"]

Embeddings = NDArray[np.float32]


@runtime_checkable
class Encoder(Protocol):
    """Anything that turns texts into vectors: a hookpoint, a cut, fused or adapted model, or the user's own."""

    def encode_query(self, texts: Sequence[str]) -> Embeddings:
        """Embed queries, prompt included.

        Args:
            texts: N texts.

        Returns:
            Float32 vectors `(N, D)`.
        """
        ...

    def encode_document(self, texts: Sequence[str]) -> Embeddings:
        """Embed documents, prompt included.

        Args:
            texts: N texts.

        Returns:
            Float32 vectors `(N, D)`.
        """
        ...
