"""Block numbers, the description of a cut model, and the checks every cut must pass."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from torch import Tensor, nn

from probe.errors import CallError, ModelError
from probe.layers.layer_stack import LayerStack
from probe.models.hashes import hash_states
from probe.models.loaded import LoadedModel
from surgery.cutting.rebuild import Rebuilt

__all__ = [
    "CutModel",
    "check_blocks",
    "describe_cut",
    "is_cut",
    "parse_blocks",
    "refuse_other_states",
]

# More than any encoder has, so that a typo cannot exhaust memory.
_MOST_BLOCKS = 10_000
# Maximum absolute difference of states, for values of about 1.
_TOLERANCE = 1e-5


@dataclass(frozen=True, repr=False)
class CutModel(LoadedModel):
    """A model with a subset of another model's blocks.

    Attributes:
        blocks: Blocks kept, numbered from 1 as in the original files.
        original_depth: Number of blocks in the original files.
        original_weights_hash: sha256 of the original weight files.
        config_changes: Config values that differ from the original's, under the names used in its files.
        left_out: Tensors that its config does not build and that no state depends on.
    """

    blocks: tuple[int, ...]
    original_depth: int
    original_weights_hash: str
    config_changes: Mapping[str, Any]
    left_out: tuple[str, ...]


def is_cut(blocks: Sequence[int]) -> bool:
    """Return whether the blocks are the first ones, so that the output of the last one is a layer of the full model."""
    return tuple(blocks) == tuple(range(1, len(blocks) + 1))


def describe_cut(
    model: LoadedModel, module: nn.Module, stack: LayerStack, *, chosen: Sequence[int], rebuilt: Rebuilt
) -> dict[str, Any]:
    """Return the fields in which a `CutModel` differs from the original.

    Args:
        model: The original model.
        module: A copy of the original with the chosen blocks only.
        stack: Its blocks.
        chosen: Their numbers in the original.
        rebuilt: Config changes and omitted tensors.
    """
    earlier = model if isinstance(model, CutModel) else None
    return {
        "module": module,
        "stack": stack,
        "depth": stack.depth,
        "parameters": stack.parameters_by_layer(module),
        "weights_hash": _derive(model.weights_hash, chosen),
        "config_hash": _derive(model.config_hash, chosen),
        "flops": _count_flops(model.flops, chosen),
        "state_hashes": () if model.tower else hash_states(module, stack),
        # If the model is a cut itself: block numbers of the original files.
        "blocks": tuple(earlier.blocks[number - 1] for number in chosen) if earlier else tuple(chosen),
        "original_depth": earlier.original_depth if earlier else model.depth,
        "original_weights_hash": earlier.original_weights_hash if earlier else model.weights_hash,
        "config_changes": {**(earlier.config_changes if earlier else {}), **rebuilt.changes},
        "left_out": (*(earlier.left_out if earlier else ()), *rebuilt.left_out),
    }


def _count_flops(flops: Sequence[int], chosen: Sequence[int]) -> tuple[int, ...]:
    """Return the cumulative FLOPs per layer of the chosen blocks, given those of the full model."""
    return tuple(accumulate((flops[number] - flops[number - 1] for number in chosen), initial=flops[0]))


def parse_blocks(text: str) -> tuple[int, ...]:
    """Parse block numbers such as `1,2,5-6`, keeping their order.

    Raises:
        CallError: The text is not a list of numbers and ranges.
    """
    parts = [re.fullmatch(r"([0-9]+)(?:-([0-9]+))?", part.strip()) for part in text.split(",")]
    bounds = [(int(part[1]), int(part[2] or part[1])) for part in parts if part]
    if not all(parts) or any(not 0 <= last - first < _MOST_BLOCKS for first, last in bounds):
        raise CallError(f"cannot read the blocks '{text}': expected numbers and ascending ranges, such as 1,2,5-6")
    return tuple(block for first, last in bounds for block in range(first, last + 1))


def check_blocks(blocks: tuple[int, ...], model: LoadedModel) -> tuple[int, ...]:
    """Return block numbers unchanged after checking that they exist, are unique and ascend; the first block is 1.

    Raises:
        CallError: A block does not exist, is repeated or is out of order.
    """
    if not blocks:
        raise CallError("no blocks given: expected at least one")
    outside = [block for block in blocks if not 1 <= block <= model.depth]
    if outside:
        raise CallError(f"block {outside[0]} does not exist: '{model.source.name}' has blocks 1 to {model.depth}")
    if list(blocks) != sorted(set(blocks)):
        ascending = ",".join(map(str, sorted(set(blocks))))
        raise CallError(
            f"blocks {','.join(map(str, blocks))}: expected each block once, in ascending order: {ascending}"
        )
    return blocks


def refuse_other_states(name: str, layer: int, expected: Tensor, *, found: Tensor) -> None:
    """Reject a cut whose states differ from the layer it was cut at, compared on a few tokens.

    Args:
        name: The model's name in messages.
        layer: Layer it was cut at.
        expected: States of the full model at that layer `(B, D)`.
        found: States of the cut model.

    Raises:
        ModelError: The states differ (the cut law).
    """
    scale = max(1.0, float(expected.abs().max()))
    difference = float((found - expected).abs().max()) / scale
    if not difference <= _TOLERANCE:
        raise ModelError(
            f"'{name}' cannot be cut after {layer}: the cut model's states differ from layer {layer} of the full model "
            f"(by {difference:.1e})"
        )


def _derive(digest: str, chosen: Sequence[int]) -> str:
    return hashlib.sha256(f"{digest} blocks {','.join(map(str, chosen))}".encode()).hexdigest()
