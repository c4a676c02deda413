"""Texts that occur twice: word for word, or nearly (MinHash with locality-sensitive hashing; Broder 1997)."""

import zlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from probe.formats.sentences import words_of

__all__ = ["NEAR", "cluster_near_duplicates", "signature", "text_key"]

# Share of equal word shingles (Jaccard) from which on two texts are near duplicates.
NEAR = 0.8
_SHINGLE = 4
_PERMUTATIONS = 64
# 16 bands of 4 rows: a pair at a similarity of .8 is a candidate with probability .9997, one at .4 with .34.
_BANDS = 16
_PRIME = np.uint64((1 << 61) - 1)

Signature = NDArray[np.uint8]


def text_key(text: str) -> bytes:
    """Return a key that is equal for texts that differ in white space and capital letters alone."""
    from hashlib import blake2b

    return blake2b(" ".join(text.lower().split()).encode("utf-8", "surrogatepass"), digest_size=8).digest()


def _constants() -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    rng = np.random.default_rng(1)
    return (
        rng.integers(1, 1 << 31, _PERMUTATIONS, dtype=np.uint64),
        rng.integers(0, 1 << 31, _PERMUTATIONS, dtype=np.uint64),
    )


_FACTORS, _OFFSETS = _constants()


def signature(text: str) -> Signature:
    """Return the MinHash signature of a text's shingles of four words, one byte per value `(64,)`.

    A byte is enough to compare by (Li and König, "b-bit minwise hashing", 2010): different minima agree in it once in
    256 times.
    """
    words = words_of(text) or text.split()
    count = max(1, len(words) - _SHINGLE + 1)
    shingles = {" ".join(words[start : start + _SHINGLE]) for start in range(count)}
    hashes = np.fromiter((zlib.crc32(one.encode("utf-8", "surrogatepass")) for one in shingles), np.uint64)
    # Values below 2^31 * 2^32 do not overflow.
    mixed = (hashes[:, None] * _FACTORS[None, :] + _OFFSETS[None, :]) % _PRIME
    lowest: Signature = (mixed.min(axis=0) & np.uint64(0xFF)).astype(np.uint8)
    return lowest


def cluster_near_duplicates(signatures: Iterable[Signature], least: float = NEAR) -> list[int]:
    """Return a cluster number per text; texts with a near duplicate have equal numbers, others their own.

    Args:
        signatures: One per text, from `signature`; or all of them as the rows of a matrix `(N, 64)`.
        least: Similarity from which on two texts are near duplicates.
    """
    held = signatures if isinstance(signatures, np.ndarray) else np.array(list(signatures), np.uint8)
    rows = held.reshape(-1, _PERMUTATIONS)
    parents = list(range(len(rows)))
    width = _PERMUTATIONS // _BANDS
    for band in range(_BANDS):
        part = np.ascontiguousarray(rows[:, band * width : (band + 1) * width])
        keys = part.view(np.uint32).reshape(len(rows), 1)
        _join(parents, _close_pairs(keys, rows, least))
    return [_root(parents, number) for number in range(len(rows))]


def _close_pairs(keys: NDArray[np.uint32], rows: Signature, least: float) -> NDArray[np.int64]:
    """Return pairs of texts with an equal band whose signatures agree enough, `(P, 2)`.

    Of the texts with an equal band, each is compared with the one before it and with the first.
    """
    order = np.lexsort(keys.T)
    ordered = keys[order]
    equal = np.flatnonzero((ordered[1:] == ordered[:-1]).all(axis=1))
    starts = np.flatnonzero(np.concatenate([[True], (ordered[1:] != ordered[:-1]).any(axis=1)]))
    firsts = starts[np.searchsorted(starts, equal, side="right") - 1]
    left, right = np.concatenate([order[equal], order[firsts]]), np.tile(order[equal + 1], 2)
    close = (rows[left] == rows[right]).mean(axis=1) >= least
    return np.stack([left[close], right[close]], axis=1)


def _join(parents: list[int], pairs: NDArray[np.int64]) -> None:
    for one, other in pairs.tolist():
        first, second = sorted((_root(parents, one), _root(parents, other)))
        parents[second] = first


def _root(parents: list[int], number: int) -> int:
    while parents[number] != number:
        parents[number] = parents[parents[number]]
        number = parents[number]
    return number
