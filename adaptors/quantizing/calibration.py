"""Ranges and bits of a quantizer, from the vectors of some documents."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from adaptors.quantizing.packing import Bytes
from adaptors.quantizing.quantizer import Quantizer
from probe.errors import CallError, check_number
from probe.evaluation.storage import MOST_BITS
from probe.metrics.vectors import Embeddings

__all__ = ["MOST_DOCUMENTS", "calibrate_mixed", "calibrate_quantizer", "calibration_rows", "spread_bits"]

# More documents change the ranges by less than their own grid.
MOST_DOCUMENTS = 4096
# Half widths of the range that are tried, in standard deviations: of normal values, 1.6 is best for 1 bit, 2.7 for 4.
_WIDTHS = np.geomspace(1.0, 8.0, 22)
# Mean squared error of the best uniform quantizer of 0 to 8 bits for normal values of variance 1
# (Max, Quantizing for minimum distortion, IRE Transactions on Information Theory 1960).
_ERRORS = np.array([1.0, 0.3634, 0.1188, 0.03744, 0.01154, 0.003495, 0.001041, 0.0003035, 0.0000870])


def calibrate_quantizer(vectors: Embeddings, bits: "int | Sequence[int] | Bytes", *, unit: bool = False) -> Quantizer:
    """Return the quantizer whose ranges have the smallest mean squared error on some vectors.

    Each range is symmetric about its dimension's mean, so that 1 bit is the side of the mean.

    Args:
        vectors: Vectors of documents, float32 `(N, D)`; many are thinned out evenly.
        bits: Bits of every dimension, or one number for all.
        unit: Whether decoded vectors are scaled to length 1.

    Returns:
        The quantizer.

    Raises:
        CallError: There are no vectors, or the bits are not 0 to 8.
    """
    if vectors.ndim != 2 or len(vectors) == 0:
        raise CallError(f"cannot calibrate a quantizer to vectors of shape {vectors.shape}: expected (N, D), N > 0")
    wanted = _as_bits(bits, vectors.shape[1])
    sample = vectors[calibration_rows(len(vectors))].astype(np.float32, copy=False)
    mean, spread = sample.mean(axis=0), sample.std(axis=0)
    # A constant dimension needs some width, and is decoded to its constant.
    spread = np.maximum(spread, np.finfo(np.float32).eps * np.maximum(np.abs(mean), 1)).astype(np.float32)
    best = np.full(vectors.shape[1], np.inf)
    half = np.zeros_like(spread)
    for width in _WIDTHS.astype(np.float32):
        found = _over(mean, width * spread, wanted)
        errors = np.square(found.approximate(sample) - sample, dtype=np.float32).sum(axis=0, dtype=np.float64)
        better = errors < best
        best, half = np.where(better, errors, best), np.where(better, width * spread, half)
    return replace(_over(mean, half.astype(np.float32), wanted), unit=unit)


def calibrate_mixed(vectors: Embeddings, size: int, *, unit: bool = False) -> Quantizer:
    """Return the quantizer of a size whose bits are spread by the variance of the dimensions.

    Args:
        vectors: Vectors of documents, float32 `(N, D)`.
        size: Bytes per vector.
        unit: Whether decoded vectors are scaled to length 1.

    Raises:
        CallError: There are no vectors, or the size does not fit 0 to 8 bits per dimension.
    """
    rows = calibration_rows(len(vectors))
    return calibrate_quantizer(vectors, spread_bits(vectors[rows].var(axis=0), size), unit=unit)


def spread_bits(variances: Embeddings, size: int) -> Bytes:
    """Return the bits of every dimension `(D,)` with the smallest expected squared error in total.

    Each further bit goes to the dimension whose error it reduces most (reverse water-filling, as in Jegou et al.,
    TPAMI 2011, section on transform coding; errors of normal values).

    Args:
        variances: Variance of every dimension `(D,)`.
        size: Bytes per vector.

    Raises:
        CallError: The size does not fit 0 to 8 bits per dimension.
    """
    check_number("bytes", size, 1)
    most = len(variances) * MOST_BITS
    if 8 * size > most:
        raise CallError(f"{size} bytes for {len(variances)} dimensions: expected at most {most // 8}, 8 bits for each")
    gains = np.outer(variances, _ERRORS[:-1] - _ERRORS[1:])
    # The gains of one dimension fall from bit to bit, so that the largest ones are a valid choice.
    chosen = np.argsort(-gains, axis=None, kind="stable")[: 8 * size]
    bits: Bytes = np.bincount(chosen // MOST_BITS, minlength=len(variances)).astype(np.uint8)
    return bits


def calibration_rows(count: int) -> NDArray[np.int64]:
    """Return the rows of the documents that are used out of so many, evenly spread."""
    return np.unique(np.linspace(0, count - 1, min(count, MOST_DOCUMENTS)).round().astype(np.int64))


def _over(mean: Embeddings, half: Embeddings, bits: Bytes) -> Quantizer:
    """Return the quantizer over ranges of some half widths about the means."""
    # A dimension without bits is one code about its mean.
    step = (2 * half / np.exp2(bits.astype(np.float32))).astype(np.float32)
    return Quantizer(bits, (mean - half).astype(np.float32), step)


def _as_bits(bits: "int | Sequence[int] | Bytes", dim: int) -> Bytes:
    given = np.asarray(bits)
    spread = np.broadcast_to(given, (dim,)) if given.ndim == 0 else given
    if spread.shape != (dim,) or ((spread < 0) | (spread > MOST_BITS)).any() or not spread.any():
        raise CallError(f"invalid bits {bits}: expected 0 to {MOST_BITS} for each of {dim} dimensions, not all 0")
    return spread.astype(np.uint8)
