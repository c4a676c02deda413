"""Cut an encoder: keep some of its blocks, as a new and complete model."""

import copy
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from probe.capture import Capture
from probe.errors import CallError, ModelError
from probe.layers import LayerStack, dummy_inputs, find_layers
from probe.loading import LoadedModel

__all__ = ["CutModel", "cut", "keep", "parse_blocks"]

# More than any encoder has; keeps a slip of the finger from filling the memory.
_MOST_BLOCKS = 10_000
# Greatest absolute difference of states, for values of about 1.
_TOLERANCE = 1e-5


@dataclass(frozen=True)
class CutModel(LoadedModel):
    """A model of some of another's blocks.

    Attributes:
        blocks: The blocks of the model's files that it has, counted from 1.
        original_depth: Number of blocks in the files.
        original_weights_hash: sha256 of the files.
    """

    blocks: tuple[int, ...]
    original_depth: int
    original_weights_hash: str


def cut(model: LoadedModel, after: int) -> CutModel:
    """Remove every block after one.

    Args:
        model: The model; it is not changed.
        after: The last block kept, counted from 1: the cut model's output is layer `after`.

    Returns:
        A new model with `after` blocks.

    Raises:
        CallError: There is no such block.
        ModelError: The rest is no model of its class, or gives other states than the layer it was cut at.
    """
    if not 1 <= after <= model.depth:
        hint = "; layer 0 is the embeddings, which are no encoder by themselves" if after == 0 else ""
        raise CallError(f"cut after {after}: '{model.source.name}' has blocks 1 to {model.depth}{hint}")
    return keep(model, range(1, after + 1))


def keep(model: LoadedModel, blocks: Sequence[int]) -> CutModel:
    """Keep a chosen set of blocks.

    Args:
        model: The model; it is not changed.
        blocks: The blocks to keep, counted from 1, in rising order.

    Returns:
        A new model of those blocks; everything else is as it was.

    Raises:
        CallError: A block is not there, comes twice, or comes before a lower one.
        ModelError: The rest is no model of its class: a block that the others depend on is missing.
    """
    chosen = _check_blocks(tuple(blocks), model)
    module = _copy_blocks(model, chosen)
    _count_anew(module, model.depth, chosen)
    _check_shape(module, model.source.name, chosen)
    stack = find_layers(module)
    if chosen == tuple(range(1, len(chosen) + 1)):
        _check_law(model, module, stack)
    fields = {name: getattr(model, name) for name in LoadedModel.__dataclass_fields__}
    changed = {
        "module": module,
        "stack": stack,
        "depth": stack.depth,
        "parameters": tuple(stack.count_parameters(module, layer) for layer in range(stack.depth + 1)),
        "weights_hash": _derive(model.weights_hash, chosen),
        "config_hash": _derive(model.config_hash, chosen),
    }
    earlier = model if isinstance(model, CutModel) else None
    return CutModel(
        **{**fields, **changed},
        # In the numbers of the files, where the model is a cut one itself.
        blocks=tuple(earlier.blocks[number - 1] for number in chosen) if earlier else chosen,
        original_depth=earlier.original_depth if earlier else model.depth,
        original_weights_hash=earlier.original_weights_hash if earlier else model.weights_hash,
    )


def parse_blocks(text: str) -> tuple[int, ...]:
    """Turn `1,2,5-6` into block numbers, in the order written.

    Args:
        text: Blocks as typed.

    Returns:
        Their numbers.

    Raises:
        CallError: The text is no list of numbers and ranges.
    """
    parts = [re.fullmatch(r"([0-9]+)(?:-([0-9]+))?", part.strip()) for part in text.split(",")]
    bounds = [(int(part[1]), int(part[2] or part[1])) for part in parts if part]
    if not all(parts) or any(not 0 <= last - first < _MOST_BLOCKS for first, last in bounds):
        raise CallError(f"'{text}' names no blocks: expected numbers and rising ranges, such as 1,2,5-6")
    return tuple(block for first, last in bounds for block in range(first, last + 1))


def _check_blocks(blocks: tuple[int, ...], model: LoadedModel) -> tuple[int, ...]:
    if not blocks:
        raise CallError("no block is named: a model needs at least one")
    outside = [block for block in blocks if not 1 <= block <= model.depth]
    if outside:
        raise CallError(f"block {outside[0]} is not there: '{model.source.name}' has blocks 1 to {model.depth}")
    if list(blocks) != sorted(set(blocks)):
        rising = ",".join(map(str, sorted(set(blocks))))
        raise CallError(f"blocks {','.join(map(str, blocks))}: expected each one once, in rising order, as {rising}")
    return blocks


def _copy_blocks(model: LoadedModel, chosen: Sequence[int]) -> nn.Module:
    """Copy a model without ever copying the blocks that go."""
    going = [block for number, block in enumerate(model.stack.blocks, start=1) if number not in chosen]
    module: nn.Module = copy.deepcopy(model.module, {id(block): nn.Identity() for block in going})
    blocks = list(module.get_submodule(model.stack.path).children())
    module.set_submodule(model.stack.path, nn.ModuleList(blocks[number - 1] for number in chosen))
    return module


def _count_anew(module: nn.Module, depth: int, chosen: Sequence[int]) -> None:
    """Make a config speak of the chosen blocks: their number, and every list that has an entry per block."""
    config: Any = module.config
    text_config = config.get_text_config()
    for name, value in text_config.to_dict().items():
        if isinstance(value, list) and len(value) == depth > 1:
            setattr(text_config, name, [value[number - 1] for number in chosen])
    text_config.num_hidden_layers = len(chosen)


def _check_shape(module: nn.Module, name: str, chosen: Sequence[int]) -> None:
    """Refuse a model that its own config would not build again, tensor for tensor."""
    config: Any = module.config
    with torch.device("meta"):
        built = type(module)(config)
    expected, found = ({(key, value.shape) for key, value in made.state_dict().items()} for made in (built, module))
    wrong = sorted(key for key, _ in expected ^ found)
    if wrong:
        raise ModelError(
            f"'{name}' cannot be reduced to the blocks {','.join(map(str, chosen))}: its first block holds what all "
            f"of them need ({wrong[0]}); keep block 1"
        )


def _check_law(model: LoadedModel, module: nn.Module, stack: LayerStack) -> None:
    """Refuse a cut that gives other states than the layer it was cut at, seen on a few tokens.

    Raises:
        ModelError: The cut law is broken.
    """
    layer = stack.depth
    states = []
    for encoder, blocks in ((model.module, model.stack), (module, stack)):
        with Capture(encoder, blocks, {layer: ("mean",)}) as capture, torch.inference_mode():
            states.append(capture.run(dummy_inputs(encoder))[layer, "mean"])
    scale = max(1.0, float(states[0].abs().max()))
    difference = float((states[1] - states[0]).abs().max()) / scale
    if not difference <= _TOLERANCE:
        raise ModelError(
            f"'{model.source.name}' cannot be cut after {layer}: the rest gives other states than layer {layer} of the "
            f"whole model (they differ by {difference:.1e})"
        )


def _derive(digest: str, chosen: Sequence[int]) -> str:
    return hashlib.sha256(f"{digest} blocks {','.join(map(str, chosen))}".encode()).hexdigest()
