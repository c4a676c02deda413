"""Texts to batches: tokenize in bulk, sort by length, fill each batch up to a budget of tokens."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

__all__ = ["Batch", "TokenizedTexts", "lower_case", "pad_batch", "plan_batches", "tokenize"]


@dataclass(frozen=True)
class TokenizedTexts:
    """Token ids of some texts.

    Attributes:
        ids: Per text, special tokens included, cut to the longest input.
        truncated: Number of texts that were longer.
    """

    ids: list[list[int]]
    truncated: int


@dataclass(frozen=True)
class Batch:
    """Padded texts that run together.

    Attributes:
        rows: Indices of the B texts.
        input_ids: `(B, T)`.
        attention_mask: `(B, T)`, 1 where there is a token.
    """

    rows: list[int]
    input_ids: Tensor
    attention_mask: Tensor

    def inputs(self, device: torch.device) -> dict[str, Tensor]:
        """Return what a model's forward takes, on its device."""
        return {"input_ids": self.input_ids.to(device), "attention_mask": self.attention_mask.to(device)}


def tokenize(tokenizer: Any, texts: Sequence[str], max_tokens: int) -> TokenizedTexts:
    """Tokenize texts with their prompts in bulk, and count those longer than `max_tokens`, special ones included."""
    if not texts:
        return TokenizedTexts([], 0)
    encoded = _encode(tokenizer, texts, truncation=True, max_length=max_tokens)
    ids = list(encoded["input_ids"])
    full = [i for i, tokens in enumerate(ids) if len(tokens) >= max_tokens]
    if encoded.encodings is not None:  # a fast tokenizer keeps what it cut off
        return TokenizedTexts(ids, sum(bool(encoded.encodings[i].overflowing) for i in full))
    whole = _encode(tokenizer, [texts[i] for i in full], truncation=False)["input_ids"] if full else []
    return TokenizedTexts(ids, sum(len(tokens) > max_tokens for tokens in whole))


def _encode(tokenizer: Any, texts: Sequence[str], **options: Any) -> Any:
    return tokenizer(
        list(texts), padding=False, return_attention_mask=False, return_token_type_ids=False, verbose=False, **options
    )


def plan_batches(lengths: Sequence[int], token_budget: int) -> Iterator[list[int]]:
    """Group texts of similar length so that no padded batch exceeds the budget.

    Args:
        lengths: Tokens per text; texts without tokens are left out.
        token_budget: Most tokens of a batch, padding included; one text may exceed it alone.

    Yields:
        Indices of the texts of one batch, longest batch first.
    """
    order = sorted((i for i, length in enumerate(lengths) if length), key=lambda i: -lengths[i])
    while order:
        size = max(1, token_budget // lengths[order[0]])
        yield order[:size]
        order = order[size:]


def pad_batch(rows: list[int], ids: Sequence[list[int]], pad_id: int) -> Batch:
    """Pad token ids on the right with `pad_id`, up to the longest of the B texts."""
    longest = max(len(tokens) for tokens in ids)
    padded = [tokens + [pad_id] * (longest - len(tokens)) for tokens in ids]
    mask = [[1] * len(tokens) + [0] * (longest - len(tokens)) for tokens in ids]
    return Batch(rows, torch.tensor(padded), torch.tensor(mask))


def lower_case(tokenizer: Any) -> None:
    """Make a tokenizer lower-case its input first, as sentence-transformers' `do_lower_case` asks for; in place."""
    from tokenizers import normalizers

    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        tokenizer.do_lower_case = True
        return
    own = [backend.normalizer] if backend.normalizer is not None else []
    backend.normalizer = normalizers.Sequence([normalizers.Lowercase(), *own])
