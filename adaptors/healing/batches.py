"""Batches of texts of similar length and about the same number of tokens."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["draw_batches"]

# Number of batches whose texts are sorted by length together, to reduce padding.
_WINDOW = 16
# Share of the tokens that are of spans.
_SPANS = 0.4
_MOST_TEXTS = 256


def draw_batches(lengths: Sequence[int], batch: int, steps: int, *, seed: int, spans: int = 0) -> list[list[int]]:
    """Draw batches; every whole text is used once before any is repeated, and so is every span.

    A batch has about as many tokens, padding included, as `batch` whole texts of average length, so it has more texts
    if they are short.

    Args:
        lengths: Tokens of every text `(N,)`, spans last.
        batch: Whole texts of average length per batch.
        steps: Batches to draw.
        seed: Random seed of the order.
        spans: Number of spans.
    """
    rng, sizes = np.random.default_rng(seed), np.array(lengths)
    whole = len(sizes) - spans
    budget = max(batch * float(sizes[:whole].mean()), float(sizes.max()))
    streams = [_shuffled(0, whole, rng)] + ([_shuffled(whole, len(sizes), rng)] if spans else [])
    shares = [1 - _SPANS, _SPANS] if spans else [1.0]
    used = [0.0] * len(streams)
    drawn: list[list[int]] = []
    while len(drawn) < steps:
        window: list[int] = []
        end = sum(used) + _WINDOW * budget
        while sum(used) < end:
            behind = min(range(len(streams)), key=lambda one: used[one] / shares[one])
            window.append(next(streams[behind]))
            used[behind] += float(sizes[window[-1]])
        pieces = list(_divide(np.array(window), sizes, budget))
        drawn += [pieces[index] for index in rng.permutation(len(pieces))]
    return drawn[:steps]


def _shuffled(start: int, end: int, rng: np.random.Generator) -> Iterator[int]:
    while True:
        yield from (start + rng.permutation(end - start)).tolist()


def _divide(rows: NDArray[np.int64], sizes: NDArray[np.int64], budget: float) -> Iterator[list[int]]:
    """Divide texts into batches of similar length within the budget of tokens."""
    piece: list[int] = []
    for row in rows[np.argsort(sizes[rows], kind="stable")].tolist():
        if piece and (sizes[row] * (len(piece) + 1) > budget or len(piece) == _MOST_TEXTS):
            yield piece
            piece = []
        piece.append(row)
    yield piece
