"""Texts as shares of tokens: what an average of token vectors sees of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from probe.encoding.reader import LayerReader
from surgery.vocabulary.counting import Splitter

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["StaticTokenizer", "estimate_shares", "open_tokenizer"]

_BATCH = 256


@dataclass(frozen=True)
class StaticTokenizer:
    """A tokenizer as static embeddings use it: without special tokens, padding or limit.

    Attributes:
        tokenizer: A `tokenizers.Tokenizer`.
        size: One more than the highest token id.
        limit: Number of tokens of a text that the full model reads, special tokens left out.
    """

    tokenizer: Any
    size: int
    limit: int

    @property
    def known(self) -> frozenset[int]:
        """The ids of all tokens."""
        return frozenset(self.tokenizer.get_vocab().values())

    def copy(self) -> Any:
        """Return the `tokenizers.Tokenizer` for another owner, who may change it."""
        from tokenizers import Tokenizer

        return Tokenizer.from_str(self.tokenizer.to_str())

    def count(self, texts: Sequence[str], report: Callable[[int], None] = lambda done: None) -> "csr_array":
        """Return the share of each token in each text, up to the full model's limit, sparse float32 `(N, V)`.

        Rows sum to 1; the row of a text without tokens is empty.
        """
        from scipy.sparse import csr_array

        starts, columns, values = [0], [], []
        for start in range(0, len(texts), _BATCH):
            batch = list(texts[start : start + _BATCH])
            for encoding in self.tokenizer.encode_batch(batch, add_special_tokens=False):
                ids, counts = np.unique(np.asarray(encoding.ids[: self.limit], np.int64), return_counts=True)
                columns.append(ids)
                values.append((counts / max(1, counts.sum())).astype(np.float32))
                starts.append(starts[-1] + len(ids))
            report(len(batch))
        joined = (np.concatenate(values), np.concatenate(columns), np.array(starts))
        return csr_array(joined, shape=(len(texts), self.size))


def open_tokenizer(reader: LayerReader) -> StaticTokenizer:
    """Return a model's tokenizer for static embeddings.

    Raises:
        ModelError: It is written in Python.
    """
    model = reader.loaded
    splitter = Splitter.of(model.pipeline, model.source.name)
    held: Any = splitter.tokenizer
    special = len(held.encode("", add_special_tokens=True).ids)
    return StaticTokenizer(held, splitter.size, max(1, model.max_tokens - special))


def estimate_shares(counts: "csr_array") -> NDArray[np.float64]:
    """Return each token's estimated share of all tokens `(V,)`, given their shares of every text `(N, V)`.

    Tokens that do not occur get the shares that follow the least frequent one's by Zipf's law, in order of their ids,
    which follow the frequency in most vocabularies.
    """
    found: NDArray[np.float64] = np.asarray(counts.sum(axis=0, dtype=np.float64)) / max(1, counts.shape[0])
    unseen = found == 0
    if unseen.any() and not unseen.all():
        ranks = np.count_nonzero(~unseen) + np.arange(1, np.count_nonzero(unseen) + 1)
        found[unseen] = found[~unseen].min() * np.count_nonzero(~unseen) / ranks
    return found
