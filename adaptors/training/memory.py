"""Estimate the memory of a training before it starts, and limit it."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.util import batch_to_device
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from adaptors.training.evaluation import kept_modes
from probe.layers.random_states import kept_random_states

__all__ = ["bounded", "saved_bytes"]

_log = logging.getLogger(__name__)
# Activations of a batch in bytes; above this, the batch is encoded in parts with gradient checkpointing.
_MOST = 1 << 30
# The backward pass needs about half as much again.
_BACKWARD = 1.5


@contextmanager
def bounded(
    model: SentenceTransformer, columns: Sequence[Sequence[Any]], rows: int, *, splits: bool, say: bool
) -> Iterator[None]:
    """Limit the memory of a training: large batches are encoded in parts with gradient checkpointing.

    The loss is still computed on the whole batch; a step takes about a third longer.

    Args:
        model: The model, with `requires_grad` already set.
        columns: Texts of the training rows by column.
        rows: Rows that are embedded at once.
        splits: Whether a batch may be encoded in parts.
        say: Whether to log the estimated memory.
    """
    texts = [max(column, key=len) for column in columns if column and all(isinstance(text, str) for text in column)]
    if not texts:
        yield
        return
    each = max(saved_bytes(model, [text]) for text in texts)
    kept, part = each * rows * len(texts), max(1, _MOST // max(1, each))
    splits = splits and kept > _MOST
    if say:
        size = (_BACKWARD * (min(kept, each * part) if splits else kept) + _held(model)) / 1e9
        how = f"; batches are encoded in parts of {part} texts to save memory" if splits else ""
        _log.info("training needs about %.1f GB of memory for the longest texts%s", size, how)
    if not splits:
        yield
        return
    model.forward = partial(_read_in_parts, model.forward, part)  # type: ignore[method-assign]
    try:
        yield
    finally:
        # The trainer may have wrapped it in between.
        model.__dict__.pop("forward", None)


def _read_in_parts(forward: Any, part: int, features: dict[str, Any], **options: Any) -> dict[str, Any]:
    """Embed a batch; with gradients, in checkpointed parts that keep only the vectors."""
    tensors = {name: value for name, value in features.items() if isinstance(value, Tensor) and value.ndim}
    count = max((len(value) for value in tensors.values()), default=0)
    if not torch.is_grad_enabled() or count <= part or any(len(value) != count for value in tensors.values()):
        found: dict[str, Any] = forward(features, **options)
        return found

    def embed(start: int) -> Tensor:
        """Return the vectors of one part."""
        piece = {**features, **{name: value[start : start + part] for name, value in tensors.items()}}
        vectors: Tensor = forward(piece, **options)["sentence_embedding"]
        return vectors

    pieces = [checkpoint(embed, start, use_reentrant=False) for start in range(0, count, part)]
    return {**features, "sentence_embedding": torch.cat(pieces)}


def saved_bytes(model: Any, texts: Sequence[str]) -> int:
    """Return the bytes a model in training keeps for the backward pass of a batch of texts, without its weights."""
    weights = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())}
    seen: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        """Record a saved tensor."""
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            seen[storage.data_ptr()] = storage.nbytes()
        return tensor

    features = batch_to_device(model.preprocess(list(texts)), model.device)
    hooks = torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor)
    with kept_modes(model), kept_random_states(), hooks:
        model.train()
        model(features)
    return sum(seen.values())


def _held(model: nn.Module) -> int:
    """Return the bytes of all weights, plus gradients and both AdamW moments of the trained ones."""
    parameters = list(model.parameters())
    trained = sum(p.numel() * p.element_size() for p in parameters if p.requires_grad)
    return sum(p.numel() * p.element_size() for p in parameters) + 3 * trained
