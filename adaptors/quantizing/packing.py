"""Codes of a few bits each, packed into bytes without gaps."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["Bytes", "pack_codes", "packed_size", "unpack_codes"]

Bytes = NDArray[np.uint8]


def packed_size(bits: Sequence[int] | Bytes) -> int:
    """Return the bytes of one packed vector, given the bits of every dimension."""
    return (int(np.sum(np.asarray(bits, np.int64))) + 7) // 8


def pack_codes(codes: Bytes, bits: Bytes) -> Bytes:
    """Pack codes, those of the first dimension first; every vector begins with a new byte.

    If every code has 1 bit, the first is the highest bit of its byte, as in numpy and sentence-transformers; otherwise
    the first code occupies the lowest bits, as in faiss.

    Args:
        codes: `(N, D)`, each less than 2 to the power of its dimension's bits.
        bits: Bits of every dimension `(D,)`, 0 to 8; a dimension of 0 bits is not stored.

    Returns:
        `(N, bytes)`.
    """
    if _is_binary(bits):
        return np.packbits(codes, axis=1)
    return np.packbits(_split(codes, bits), axis=1, bitorder="little")


def unpack_codes(packed: Bytes, bits: Bytes) -> Bytes:
    """Return the codes `(N, D)` of packed vectors `(N, bytes)`; the inverse of `pack_codes`."""
    if _is_binary(bits):
        return np.unpackbits(packed, axis=1, count=len(bits))
    stream = np.unpackbits(packed, axis=1, bitorder="little")
    codes = np.zeros((len(packed), len(bits)), np.uint8)
    ends = np.cumsum(bits, dtype=np.int64)
    for place in range(int(bits.max(initial=0))):
        having = np.flatnonzero(bits > place)
        codes[:, having] |= stream[:, ends[having] - bits[having] + place] << np.uint8(place)
    return codes


def _is_binary(bits: Bytes) -> bool:
    return bool((bits == 1).all())


def _split(codes: Bytes, bits: Bytes) -> Bytes:
    """Return the bits of all codes side by side `(N, sum of bits)`, the lowest of each first."""
    stream = np.empty((len(codes), int(bits.sum(dtype=np.int64))), np.uint8)
    ends = np.cumsum(bits, dtype=np.int64)
    for place in range(int(bits.max(initial=0))):
        having = np.flatnonzero(bits > place)
        stream[:, ends[having] - bits[having] + place] = (codes[:, having] >> np.uint8(place)) & 1
    return stream
