"""A scalar quantizer: every dimension of a vector as a code of a few bits."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adaptors.quantizing.packing import Bytes, pack_codes, packed_size, unpack_codes
from probe.errors import CallError, check_number
from probe.metrics.vectors import Embeddings, unit

__all__ = ["Hits", "Quantizer", "Signs"]

# Documents decoded at a time in a search.
_BLOCK = 16_384


@dataclass(frozen=True)
class Hits:
    """The documents found for Q queries.

    Attributes:
        rows: Rows of the k best documents, best first `(Q, k)`.
        scores: Their scores, float32 `(Q, k)`.
    """

    rows: NDArray[np.int64]
    scores: Embeddings


@dataclass(frozen=True, eq=False)
class Quantizer:
    """Codes of D dimensions.

    Code c of a dimension stands for the values from start + c step to start + (c + 1) step and is decoded to their
    middle; the first and the last code also stand for all values beyond. These are the codes of the scalar quantizers
    of faiss and of `quantize_embeddings` in sentence-transformers.

    Attributes:
        bits: Bits of every dimension `(D,)`, 0 to 8; a dimension of 0 bits is decoded to a constant.
        start: Where the first code begins `(D,)`.
        step: Width of a code `(D,)`.
        unit: Whether decoded vectors are scaled to length 1, as those of the calibration were. With few bits this
            makes their dot products better; the scalar quantizers of other libraries do not do it.
    """

    bits: Bytes
    start: Embeddings
    step: Embeddings
    unit: bool = False

    @property
    def dim(self) -> int:
        """Number of dimensions."""
        return len(self.bits)

    @property
    def bytes(self) -> int:
        """Size of one packed vector in bytes."""
        return packed_size(self.bits)

    def encode_documents(self, vectors: Embeddings) -> Bytes:
        """Return packed vectors `(N, bytes)`.

        Args:
            vectors: Document vectors, float32 `(N, D)`, scaled as in the calibration (to length 1 for the cosine).

        Raises:
            CallError: They have another dimension, or values that are not finite.
        """
        return pack_codes(self.codes(vectors), self.bits)

    def codes(self, vectors: Embeddings) -> Bytes:
        """Return the codes `(N, D)` of vectors `(N, D)`, before packing."""
        _check_vectors(vectors, self.dim)
        last = np.exp2(self.bits.astype(np.float32)) - 1
        codes: Bytes = np.clip(np.floor((vectors - self.start) / self.step), 0, last).astype(np.uint8)
        return codes

    def decode(self, packed: Bytes) -> Embeddings:
        """Return the vectors, float32 `(N, D)`, that packed ones `(N, bytes)` stand for.

        Raises:
            CallError: They have another size.
        """
        if packed.dtype != np.uint8 or packed.ndim != 2 or packed.shape[1] != self.bytes:
            raise CallError(f"packed vectors of {packed.dtype} {packed.shape}: expected uint8 (N, {self.bytes})")
        return self.values(unpack_codes(packed, self.bits))

    def values(self, codes: Bytes) -> Embeddings:
        """Return the values, float32 `(N, D)`, that codes `(N, D)` stand for."""
        decoded: Embeddings = self.start + (codes.astype(np.float32) + np.float32(0.5)) * self.step
        return unit(decoded) if self.unit else decoded

    def approximate(self, vectors: Embeddings) -> Embeddings:
        """Return vectors `(N, D)` as they are after encoding and decoding."""
        return self.values(self.codes(vectors))

    def search(self, queries: Embeddings, packed: Bytes, k: int = 10) -> Hits:
        """Return the k packed documents with the largest dot products with each query.

        Exact over the decoded documents; among equal scores the first rows win.

        Args:
            queries: Float32 `(Q, D)`.
            packed: Packed documents `(N, bytes)`.
            k: Number of documents to find.

        Raises:
            CallError: The queries or the documents do not fit the quantizer, or k is not positive.
        """
        check_number("k", k, 1)
        _check_vectors(queries, self.dim)
        rows = np.empty((len(queries), 0), np.int64)
        scores = np.empty((len(queries), 0), np.float32)
        for first in range(0, len(packed), _BLOCK):
            documents = self.decode(packed[first : first + _BLOCK])
            found = np.broadcast_to(np.arange(first, first + len(documents)), (len(queries), len(documents)))
            rows = np.concatenate([rows, found], axis=1)
            scores = np.concatenate([scores, _dot(queries, documents)], axis=1)
            best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
            rows, scores = np.take_along_axis(rows, best, 1), np.take_along_axis(scores, best, 1)
        return Hits(rows, scores)


@dataclass(frozen=True, eq=False)
class Signs:
    """Both sides of a search as signs, +1 or -1: their dot product is the dimension less twice the Hamming distance.

    Attributes:
        quantizer: A quantizer of 1 bit per dimension.
    """

    quantizer: Quantizer

    def approximate(self, vectors: Embeddings) -> Embeddings:
        """Return the signs `(N, D)` of vectors `(N, D)` about their thresholds."""
        signs: Embeddings = self.quantizer.codes(vectors).astype(np.float32) * 2 - 1
        return signs


def _dot(queries: Embeddings, documents: Embeddings) -> Embeddings:
    """Return dot products `(Q, C)`, rounded once, so that equal documents tie."""
    products: Embeddings = (queries.astype(np.float64) @ documents.astype(np.float64).T).astype(np.float32)
    return products


def _check_vectors(vectors: Embeddings, dim: int) -> None:
    """Raise unless vectors are finite and have a dimension."""
    if vectors.ndim != 2 or vectors.shape[1] != dim:
        raise CallError(f"vectors of shape {_shape(vectors.shape)}: expected (N, {dim}), as in the calibration")
    if not np.isfinite(vectors).all():
        raise CallError("the vectors have values that are not finite: they cannot be quantized")


def _shape(shape: Sequence[int]) -> str:
    return f"({', '.join(map(str, shape))})"
