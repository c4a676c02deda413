"""Test whether a text's vector depends on the other texts of its batch, with right-padded dummy inputs."""

from collections.abc import Iterator
from typing import Any, Literal

import torch
from torch import Tensor, nn

from probe.layers.layer_stack import first_tensor
from probe.layers.unchanged import unchanged

__all__ = ["Batching", "find_batching"]

Batching = Literal["padded", "equal", "single"]

# Lengths of the shorter and at least of the longer text: not powers of two or multiples of a block.
_SHORT, _LONG = 5, 27
# If a config has blocks, windows or chunks of tokens, the longer text fills several of the longest.
_BLOCKS, _LONGEST = 12, 1024
_SIZES = ("block_size", "window", "chunk", "landmark", "segment_means", "stride", "ratio")
# Relative differences due to rounding: batches of different shapes sum in a different order.
_ROUNDING = {torch.float32: 1e-4, torch.float64: 1e-8}
_ROUNDING_OF_HALF = 4e-2


def find_batching(model: nn.Module, *, pad_id: int, longest: int) -> Batching:
    """Find which texts may share a batch so that each vector depends on its text alone.

    Args:
        model: A transformers encoder in evaluation mode; left unchanged.
        pad_id: Padding token.
        longest: Maximum length of the model, in tokens.

    Returns:
        `padded` if texts of any length may share a batch, `equal` if only texts of equal length may, `single` if the
        states differ even then (experts with limited capacity).
    """
    lengths = _lengths(model, longest)
    texts = list(_texts(model, (lengths[0], *lengths), pad_id))
    with torch.inference_mode():
        alone = [_run(model, text, torch.ones_like(text)) for text in texts]
        if not _agree(_run(model, torch.cat(texts[:2]), None), torch.cat(alone[:2])):
            return "single"
        for longer, states in zip(texts[1:], alone[1:], strict=True):
            if longer.shape[1] > texts[0].shape[1] and not _pads_well(
                model, texts[0], longer, expected=(alone[0], states), pad_id=pad_id
            ):
                return "equal"
    return "padded"


def _pads_well(
    model: nn.Module, short: Tensor, longer: Tensor, *, expected: tuple[Tensor, Tensor], pad_id: int
) -> bool:
    missing = longer.shape[1] - short.shape[1]
    padding = torch.full((1, missing), pad_id, device=short.device)
    ids = torch.cat([torch.cat([short, padding], dim=1), longer])
    mask = torch.cat([torch.cat([torch.ones_like(short), torch.zeros_like(padding)], dim=1), torch.ones_like(longer)])
    found = _run(model, ids, mask)
    return _agree(found[:1, : short.shape[1]], expected[0]) and _agree(found[1:], expected[1])


def _lengths(model: nn.Module, longest: int) -> tuple[int, ...]:
    config: Any = getattr(model, "config", None)
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    named = {
        name: value for name, value in getattr(text, "__dict__", {}).items() if any(size in name for size in _SIZES)
    }
    numbers = [n for value in named.values() for n in (value if isinstance(value, list) else [value])]
    sizes = [n for n in numbers if isinstance(n, int) and 1 < n <= _LONGEST]
    wanted = (_SHORT, _LONG, *((min(_LONGEST, _BLOCKS * max(sizes) + 3),) if sizes else ()))
    return tuple(sorted({max(1, min(length, longest)) for length in wanted}))


def _texts(model: nn.Module, lengths: tuple[int, ...], pad_id: int) -> Iterator[Tensor]:
    """Yield ids `(1, T)` of random tokens other than the padding, on the model's device."""
    generator = torch.Generator().manual_seed(11)
    known = _count_known(model)
    possible = torch.tensor([token for token in range(min(3, known - 2), min(known, 1000)) if token != pad_id])
    device = next(model.parameters()).device
    for length in lengths:
        drawn = torch.randint(len(possible), (1, length), generator=generator)
        yield possible[drawn].to(device)


def _count_known(model: nn.Module) -> int:
    try:
        return int(model.get_input_embeddings().num_embeddings)  # type: ignore[operator]
    except (AttributeError, NotImplementedError):  # no standard embedding table
        return 7


def _run(model: nn.Module, ids: Tensor, mask: Tensor | None) -> Tensor:
    with unchanged(model):
        return first_tensor(model(input_ids=ids, attention_mask=torch.ones_like(ids) if mask is None else mask))


def _agree(found: Tensor, expected: Tensor) -> bool:
    """Return whether states `(B, T, D)` agree up to rounding, token by token."""
    if found.shape != expected.shape:
        return False
    tolerance = _ROUNDING.get(found.dtype, _ROUNDING_OF_HALF)
    found, expected = found.float(), expected.float()
    scale = expected.norm(dim=-1).mean().clamp(min=1e-6)
    return bool((found - expected).norm(dim=-1).max() <= tolerance * scale)
