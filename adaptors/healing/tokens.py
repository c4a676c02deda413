"""Texts as tokens: tokenized once, however often they are drawn into batches."""

from collections.abc import Sequence
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor

__all__ = ["TokenizedTexts"]


class TokenizedTexts:
    """Texts with their tokens, truncated to the encoder's current maximum input length.

    Encoders that do more with a text than to tokenize and to pad it, such as fused ones, get every batch anew.
    """

    def __init__(self, model: SentenceTransformer, texts: Sequence[str]) -> None:
        """Tokenize N texts with their prompts."""
        self._model = model
        self._texts = texts
        tokenizer: Any = model.tokenizer
        self._tokens: dict[str, list[list[int]]] = dict(
            tokenizer(list(texts), truncation=True, max_length=model.max_seq_length)
        )
        self._pads = self._can_pad()

    @property
    def lengths(self) -> list[int]:
        """Number of tokens of every text."""
        return [len(ids) for ids in self._tokens["input_ids"]]

    def batch(self, rows: Sequence[int]) -> dict[str, Tensor]:
        """Return the features of texts, as the encoder's `preprocess` returns them."""
        return self._pad(rows) if self._pads else self._preprocess(rows)

    def _pad(self, rows: Sequence[int]) -> dict[str, Tensor]:
        tokenizer: Any = self._model.tokenizer
        drawn = {name: [values[row] for row in rows] for name, values in self._tokens.items()}
        return dict(tokenizer.pad(drawn, return_tensors="pt"))

    def _preprocess(self, rows: Sequence[int]) -> dict[str, Tensor]:
        features = self._model.preprocess([self._texts[row] for row in rows])
        return {name: value for name, value in features.items() if isinstance(value, Tensor)}

    def _can_pad(self) -> bool:
        """Return whether padding gives the encoder's own features, by the shortest text beside the longest."""
        order = sorted(range(len(self._texts)), key=lambda row: len(self._texts[row]))
        expected = self._preprocess([order[0], order[-1]])
        try:
            found = self._pad([order[0], order[-1]])
        except (ValueError, KeyError, TypeError, AttributeError):
            return False
        return expected.keys() == found.keys() and all(torch.equal(expected[name], found[name]) for name in found)
