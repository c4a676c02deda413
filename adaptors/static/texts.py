"""The texts of a static cut with the full model's vectors, in an order of their own."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from adaptors.healing.texts import HealTexts
from adaptors.static.token_counts import StaticTokenizer
from probe.encoding.chunk_states import Progress, silent
from probe.errors import CallError
from probe.metrics.vectors import Embeddings

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["StaticTexts", "count_texts"]


@dataclass(frozen=True)
class StaticTexts:
    """Different texts with at least one token, sorted: the order in which they were given changes nothing.

    Attributes:
        counts: Share of each token in each text, rows summing to 1, sparse `(N, V)`.
        targets: The full model's vectors, of length 1 `(N, D)`.
        seen: Name of every source data set, and the sha256 of its documents.
    """

    counts: "csr_array"
    targets: Embeddings
    seen: tuple[tuple[str, str], ...]

    def __len__(self) -> int:
        return len(self.targets)

    def pick(self, rows: Sequence[int]) -> "StaticTexts":
        """Return some of the texts."""
        return StaticTexts(self.counts[list(rows)], self.targets[list(rows)], self.seen)

    def hold_out(self, most: int, seed: int) -> tuple["StaticTexts", "StaticTexts"]:
        """Return texts to fit to, and held-out ones: a tenth, at most `most`."""
        count = min(most, max(1, len(self) // 10))
        held = np.zeros(len(self), bool)
        held[np.random.default_rng(seed).choice(len(self), count, replace=False)] = True
        return self.pick(np.flatnonzero(~held).tolist()), self.pick(np.flatnonzero(held).tolist())


def count_texts(found: HealTexts, tokenizer: StaticTokenizer, progress: Progress = silent) -> StaticTexts:
    """Return the different texts among those with the full model's vectors.

    Raises:
        CallError: There are fewer than two with tokens.
    """
    rows = [row for _, row in sorted({text: row for row, text in enumerate(found.texts)}.items())]
    counts = tokenizer.count([found.texts[row] for row in rows], lambda done: progress("counting", done, len(rows)))
    filled = np.diff(counts.indptr) > 0
    if np.count_nonzero(filled) < 2:
        raise CallError(f"a static cut needs at least 2 different texts, found {np.count_nonzero(filled)}")
    targets: Embeddings = found.targets.numpy()[rows]
    return StaticTexts(counts[filled], targets[filled], found.seen)
