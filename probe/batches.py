"""Texts to batches: tokenise in bulk, sort by length, fill each batch up to a budget of tokens."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

__all__ = ["TokenisedTexts", "lower_case", "pad_batch", "plan_batches", "tokenise"]


@dataclass(frozen=True)
class TokenisedTexts:
    """Token ids of some texts.

    Attributes:
        ids: Per text, special tokens included, cut to the longest input.
        truncated: Number of texts that were longer.
    """

    ids: list[list[int]]
    truncated: int


def tokenise(tokenizer: Any, texts: Sequence[str], max_tokens: int) -> TokenisedTexts:
    """Tokenise texts in bulk and count those that were cut.

    Args:
        tokenizer: A transformers tokenizer.
        texts: The texts, prompt included.
        max_tokens: Longest input, special tokens included.

    Returns:
        The ids and the number of texts cut.
    """
    if not texts:
        return TokenisedTexts([], 0)
    ids = _ids_of(tokenizer, texts, truncation=True, max_length=max_tokens)
    # Only a text that fills the limit can have been cut: those few are tokenised once more, whole.
    full = [text for text, tokens in zip(texts, ids, strict=True) if len(tokens) >= max_tokens]
    whole = _ids_of(tokenizer, full, truncation=False) if full else []
    return TokenisedTexts(ids, sum(len(tokens) > max_tokens for tokens in whole))


def _ids_of(tokenizer: Any, texts: Sequence[str], **options: Any) -> list[list[int]]:
    encoded = tokenizer(
        list(texts), padding=False, return_attention_mask=False, return_token_type_ids=False, verbose=False, **options
    )
    return list(encoded["input_ids"])


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


def pad_batch(ids: Sequence[list[int]], pad_id: int, device: torch.device) -> dict[str, Tensor]:
    """Pad token ids on the right.

    Args:
        ids: Token ids of B texts, the longest of T tokens.
        pad_id: Fills the rest.
        device: Where the tensors go.

    Returns:
        `input_ids` and `attention_mask`, both `(B, T)`.
    """
    longest = max(len(tokens) for tokens in ids)
    padded = [tokens + [pad_id] * (longest - len(tokens)) for tokens in ids]
    mask = [[1] * len(tokens) + [0] * (longest - len(tokens)) for tokens in ids]
    return {
        "input_ids": torch.tensor(padded, device=device),
        "attention_mask": torch.tensor(mask, device=device),
    }


def lower_case(tokenizer: Any) -> None:
    """Make a tokenizer lower-case its input first, as sentence-transformers' `do_lower_case` asks for.

    Args:
        tokenizer: A transformers tokenizer; changed in place.
    """
    from tokenizers import normalizers

    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        tokenizer.do_lower_case = True
        return
    own = [backend.normalizer] if backend.normalizer is not None else []
    backend.normalizer = normalizers.Sequence([normalizers.Lowercase(), *own])
