"""Tokenization in bulk, and batches of texts of similar length within a token budget."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from probe.layers.device_queue import queue_of
from probe.layers.padding import Batching

__all__ = [
    "Batch",
    "Features",
    "Role",
    "TokenizedTexts",
    "as_role",
    "pad_batch",
    "pad_features",
    "plan_batches",
    "preprocess",
    "tokenize",
]

# Number of texts of similar length tokenized together.
_GROUP = 64
# Padded with the padding id; all other tensors with 0.
_IDS = "input_ids"
_MASK = "attention_mask"


@dataclass(frozen=True)
class Role:
    """Role of a text.

    Attributes:
        task: `query` or `document`.
        prompt: Prefix of the text.
    """

    task: str
    prompt: str = ""


def as_role(role: Role | str) -> Role:
    """Return a role; a string is the prompt of documents."""
    return role if isinstance(role, Role) else Role("document", role)


@dataclass(frozen=True)
class TokenizedTexts:
    """Token ids of texts.

    Attributes:
        ids: Per text, including special tokens, truncated to the maximum length.
        truncated: Number of truncated texts.
    """

    ids: list[list[int]]
    truncated: int


@dataclass(frozen=True)
class Features:
    """Model inputs of texts, as made by sentence-transformers.

    Attributes:
        rows: Per text, its tensors `(T_i,)` without padding.
        shared: Inputs common to all texts, such as the prompt's length.
        truncated: Number of truncated texts.
    """

    rows: list[dict[str, Tensor]]
    shared: dict[str, Any]
    truncated: int

    @property
    def lengths(self) -> list[int]:
        """Tokens per text."""
        return [len(row[_IDS]) for row in self.rows]


@dataclass(frozen=True)
class Batch:
    """A padded batch of texts.

    Attributes:
        rows: Indices of the B texts.
        input_ids: `(B, T)`.
        attention_mask: `(B, T)`, 1 for tokens, 0 for padding.
        others: Other inputs: tensors `(B, T)`, and values common to all texts.
    """

    rows: list[int]
    input_ids: Tensor
    attention_mask: Tensor
    others: Mapping[str, Any] = field(default_factory=dict)

    def inputs(self, device: torch.device) -> dict[str, Any]:
        """Return the keyword arguments of a model's forward, on its device."""
        features, queue = {_IDS: self.input_ids, _MASK: self.attention_mask, **self.others}, queue_of(device)
        return {name: queue.send(value) if isinstance(value, Tensor) else value for name, value in features.items()}


def preprocess(pipeline: Any, texts: Sequence[str], role: Role) -> Features:
    """Tokenize N texts as sentence-transformers does, with prompt, template and maximum length.

    Args:
        pipeline: A `SentenceTransformer` that starts with a transformer.
        texts: The texts.
        role: Role of the texts.

    Returns:
        Their features, in order.
    """
    order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
    size = _GROUP if pipeline.tokenizer.pad_token_id is not None else 1
    rows: list[dict[str, Tensor]] = [{}] * len(texts)
    shared: dict[str, Any] = {}
    truncated = 0
    for start in range(0, len(order), size):
        group = order[start : start + size]
        features, cut = _preprocess_group(pipeline, [texts[i] for i in group], role)
        truncated += cut
        shared = {name: value for name, value in features.items() if not isinstance(value, Tensor)}
        for index, row in zip(group, _split(features, len(group)), strict=True):
            rows[index] = row
    return Features(rows, shared, truncated)


def _preprocess_group(pipeline: Any, texts: list[str], role: Role) -> tuple[Any, int]:
    options: dict[str, Any] = {"prompt": role.prompt, "task": role.task}
    if pipeline.tokenizer.pad_token_id is None:
        options["processing_kwargs"] = {"text": {"padding": False}}
    features = pipeline.preprocess(texts, **options)
    return features, _count_truncated(pipeline.tokenizer, features, texts, prompt=role.prompt)


def _count_truncated(tokenizer: Any, features: Any, texts: list[str], *, prompt: str) -> int:
    encodings = getattr(features, "encodings", None)
    if encodings is not None:  # a fast tokenizer reports truncated tokens
        return sum(bool(encoding.overflowing) for encoding in encodings)
    # Only texts of the maximum length can have been truncated; those are tokenized again without a limit.
    longest = features[_IDS].shape[1]
    lengths = features[_MASK].sum(dim=1).tolist() if _MASK in features else [longest] * len(texts)
    full = [prompt + text for text, length in zip(texts, lengths, strict=True) if length == longest]
    return sum(len(tokenizer(text, truncation=False, verbose=False)[_IDS]) > longest for text in full)


def _split(features: Mapping[str, Any], count: int) -> Iterator[dict[str, Tensor]]:
    """Yield the tensors of every text without its padding."""
    shape = features[_IDS].shape
    mask = features.get(_MASK, torch.ones(shape, dtype=torch.long))
    tensors = {name: value for name, value in features.items() if isinstance(value, Tensor) and value.shape == shape}
    for row in range(count):
        tokens = mask[row].bool()
        yield {name: value[row][tokens] for name, value in {**tensors, _MASK: mask}.items()}


def pad_features(rows: list[int], features: Features, pad_id: int) -> Batch:
    """Return a batch of the B texts in `rows`, padded on the right, where causal models never see the padding."""
    chosen = [features.rows[row] for row in rows]
    fills = {name: pad_id if name == _IDS else 0 for name in chosen[0]}
    padded = {
        name: torch.nn.utils.rnn.pad_sequence([row[name] for row in chosen], batch_first=True, padding_value=fill)
        for name, fill in fills.items()
    }
    ids, mask = padded.pop(_IDS), padded.pop(_MASK)
    return Batch(rows, ids, mask, {**padded, **features.shared})


def tokenize(tokenizer: Any, texts: Sequence[str], max_tokens: int) -> TokenizedTexts:
    """Tokenize texts with their prompts, and count those longer than `max_tokens`, special tokens included."""
    if not texts:
        return TokenizedTexts([], 0)
    encoded = _encode(tokenizer, texts, truncation=True, max_length=max_tokens)
    ids = list(encoded["input_ids"])
    full = [i for i, tokens in enumerate(ids) if len(tokens) >= max_tokens]
    if encoded.encodings is not None:  # a fast tokenizer reports truncated tokens
        return TokenizedTexts(ids, sum(bool(encoded.encodings[i].overflowing) for i in full))
    whole = _encode(tokenizer, [texts[i] for i in full], truncation=False)["input_ids"] if full else []
    return TokenizedTexts(ids, sum(len(tokens) > max_tokens for tokens in whole))


def _encode(tokenizer: Any, texts: Sequence[str], **options: Any) -> Any:
    return tokenizer(
        list(texts), padding=False, return_attention_mask=False, return_token_type_ids=False, verbose=False, **options
    )


def plan_batches(lengths: Sequence[int], token_budget: int, *, batching: Batching = "padded") -> Iterator[list[int]]:
    """Group texts of similar length so that no padded batch exceeds the budget.

    Args:
        lengths: Tokens per text; texts without tokens are skipped.
        token_budget: Maximum tokens of a batch, padding included; a single longer text gets its own batch.
        batching: Which texts may share a batch.

    Yields:
        Indices of the texts of one batch, longest batch first.
    """
    order = sorted((i for i, length in enumerate(lengths) if length), key=lambda i: -lengths[i])
    while order:
        size = 1 if batching == "single" else max(1, token_budget // lengths[order[0]])
        if batching == "equal":
            size = min(size, sum(lengths[i] == lengths[order[0]] for i in order[:size]))
        yield order[:size]
        order = order[size:]


def pad_batch(rows: list[int], ids: Sequence[list[int]], pad_id: int) -> Batch:
    """Pad token ids on the right with `pad_id`, up to the longest of the B texts."""
    longest = max(len(tokens) for tokens in ids)
    padded = [tokens + [pad_id] * (longest - len(tokens)) for tokens in ids]
    mask = [[1] * len(tokens) + [0] * (longest - len(tokens)) for tokens in ids]
    return Batch(rows, torch.tensor(padded), torch.tensor(mask))
