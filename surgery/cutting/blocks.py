"""Chosen blocks of an encoder: their numbers, the config that counts them, and the checks that a cut has to pass."""

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

# More than any encoder has; keeps a slip of the finger from filling the memory.
_MOST_BLOCKS = 10_000
# Greatest absolute difference of states, for values of about 1.
_TOLERANCE = 1e-5


@dataclass(frozen=True, repr=False)
class CutModel(LoadedModel):
    """A model of some of another's blocks.

    Attributes:
        blocks: The blocks of the model's files that it has, counted from 1.
        original_depth: Number of blocks in the files.
        original_weights_hash: sha256 of the files.
        config_changes: What its config says otherwise than the original's, by the names of the files.
        left_out: Tensors that its config does not build, and on which no state depends.
    """

    blocks: tuple[int, ...]
    original_depth: int
    original_weights_hash: str
    config_changes: Mapping[str, Any]
    left_out: tuple[str, ...]


def is_cut(blocks: Sequence[int]) -> bool:
    """Return whether blocks are the first ones, so that the last of them makes a layer of the whole model."""
    return tuple(blocks) == tuple(range(1, len(blocks) + 1))


def describe_cut(
    model: LoadedModel, module: nn.Module, stack: LayerStack, *, chosen: Sequence[int], rebuilt: Rebuilt
) -> dict[str, Any]:
    """Return the fields of a `CutModel` that are not its original's.

    Args:
        model: The original.
        module: The original without the other blocks.
        stack: The blocks in it.
        chosen: Their numbers in the original.
        rebuilt: What its config has to say.
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
        # In the numbers of the files, where the model is a cut one itself.
        "blocks": tuple(earlier.blocks[number - 1] for number in chosen) if earlier else tuple(chosen),
        "original_depth": earlier.original_depth if earlier else model.depth,
        "original_weights_hash": earlier.original_weights_hash if earlier else model.weights_hash,
        "config_changes": {**(earlier.config_changes if earlier else {}), **rebuilt.changes},
        "left_out": (*(earlier.left_out if earlier else ()), *rebuilt.left_out),
    }


def _count_flops(flops: Sequence[int], chosen: Sequence[int]) -> tuple[int, ...]:
    """Return the operations up to each layer of chosen blocks, given those of the whole model."""
    return tuple(accumulate((flops[number] - flops[number - 1] for number in chosen), initial=flops[0]))


def parse_blocks(text: str) -> tuple[int, ...]:
    """Turn `1,2,5-6` into block numbers, in the order written.

    Raises:
        CallError: The text is no list of numbers and ranges.
    """
    parts = [re.fullmatch(r"([0-9]+)(?:-([0-9]+))?", part.strip()) for part in text.split(",")]
    bounds = [(int(part[1]), int(part[2] or part[1])) for part in parts if part]
    if not all(parts) or any(not 0 <= last - first < _MOST_BLOCKS for first, last in bounds):
        raise CallError(f"'{text}' names no blocks: expected numbers and rising ranges, such as 1,2,5-6")
    return tuple(block for first, last in bounds for block in range(first, last + 1))


def check_blocks(blocks: tuple[int, ...], model: LoadedModel) -> tuple[int, ...]:
    """Return block numbers, counted from 1, as they are, where they are blocks of a model in rising order.

    Raises:
        CallError: A block is not there, comes twice, or comes before a lower one.
    """
    if not blocks:
        raise CallError("no block is named: a model needs at least one")
    outside = [block for block in blocks if not 1 <= block <= model.depth]
    if outside:
        raise CallError(f"block {outside[0]} is not there: '{model.source.name}' has blocks 1 to {model.depth}")
    if list(blocks) != sorted(set(blocks)):
        rising = ",".join(map(str, sorted(set(blocks))))
        raise CallError(f"blocks {','.join(map(str, blocks))}: expected each one once, in rising order, as {rising}")
    return blocks


def refuse_other_states(name: str, layer: int, expected: Tensor, *, found: Tensor) -> None:
    """Refuse a cut that gives other states than the layer it was cut at, seen on a few tokens.

    Args:
        name: What the caller calls the model.
        layer: Where it was cut.
        expected: States of the whole model there `(B, D)`.
        found: States of the cut one.

    Raises:
        ModelError: The cut law is broken.
    """
    scale = max(1.0, float(expected.abs().max()))
    difference = float((found - expected).abs().max()) / scale
    if not difference <= _TOLERANCE:
        raise ModelError(
            f"'{name}' cannot be cut after {layer}: the rest gives other states than layer {layer} of the whole model "
            f"(they differ by {difference:.1e})"
        )


def _derive(digest: str, chosen: Sequence[int]) -> str:
    return hashlib.sha256(f"{digest} blocks {','.join(map(str, chosen))}".encode()).hexdigest()
