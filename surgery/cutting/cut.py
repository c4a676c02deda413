"""Cut an encoder: build a new, complete model from some of its blocks."""

import copy
import weakref
from collections.abc import Sequence
from dataclasses import replace
from numbers import Integral
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import nn

from probe.encoding.opening import Openable, as_model
from probe.errors import CallError, wrong_type
from probe.layers.capture import Capture
from probe.layers.layer_stack import LayerStack, dummy_inputs, find_layers
from probe.models.loaded import LoadedModel
from probe.models.options import LoadOptions
from probe.models.sources import ModelSource
from probe.models.tower_loading import LoadedTower
from surgery.cutting.blocks import (
    CutModel,
    check_blocks,
    describe_cut,
    is_cut,
    refuse_other_states,
)
from surgery.cutting.rebuild import fit_config
from surgery.cutting.towers import keep_tower

__all__ = ["EXACT", "cut", "keep"]

# Load options for models that will be saved.
EXACT = LoadOptions(dtype="float32", device="cpu")


def cut(model: Openable, after: int, options: LoadOptions | None = None) -> CutModel:
    """Remove every block after block `after`.

    Args:
        model: The model, or one tower of a model: its name or folder, or the model in memory, which is not changed.
        after: The last block to keep, counted from 1: the cut model's output is layer `after`.
        options: How to load a model given by name; default: in float32 on the CPU.

    Returns:
        A new model with `after` blocks.

    Raises:
        CallError: The block does not exist.
        ModelError: The cut model cannot be built by its class, or its states differ from the layer it was cut at.
    """
    if not isinstance(after, Integral):
        raise wrong_type("after", after, "the number of the last block to keep, counted from 1")
    found = as_model(model, options or EXACT)
    if not 1 <= after <= found.depth:
        hint = "; layer 0 is the embeddings only, not an encoder: see adaptors.fit_static" if after == 0 else ""
        raise CallError(f"cut after {after}: '{found.source.name}' has blocks 1 to {found.depth}{hint}")
    return _keep(found, tuple(range(1, after + 1)))


def keep(model: Openable, blocks: Sequence[int], options: LoadOptions | None = None) -> CutModel:
    """Keep a chosen set of blocks.

    Args:
        model: The model, or one tower of a model: its name or folder, or the model in memory, which is not changed.
        blocks: The blocks to keep, counted from 1, in ascending order.
        options: How to load a model given by name; default: in float32 on the CPU.

    Returns:
        A new model with those blocks; everything else is unchanged. For a tower, a `CutTower`.

    Raises:
        CallError: A block does not exist, is repeated or is out of order.
        ModelError: The remaining blocks do not make a model of its class: they depend on a removed block.
    """
    if isinstance(blocks, str) or not all(isinstance(block, Integral) for block in blocks):
        raise wrong_type("blocks", blocks, "block numbers, counted from 1, such as [1, 2, 5, 6]")
    return _keep(as_model(model, options or EXACT), tuple(blocks))


def _keep(model: LoadedModel, blocks: tuple[int, ...]) -> CutModel:
    if model.source.route:
        raise CallError(
            f"'{model.source.name}' is one route of a router: change the encoder that it was made of, and make the "
            "router again with surgery pair"
        )
    chosen = check_blocks(blocks, model)
    if isinstance(model, LoadedTower):
        return keep_tower(model, chosen)
    from probe.models.pipeline import shadow_pipeline

    module = _copy_blocks(model, chosen)
    rebuilt = fit_config(module, model.module, model.source.name, path=model.stack.path, chosen=chosen)
    stack = find_layers(module)
    if is_cut(chosen):
        _check_law(model, module, stack)
    fields = {name: getattr(model, name) for name in LoadedModel.__dataclass_fields__}
    fields["source"] = _with_files(model, module)
    fields["pipeline"] = shadow_pipeline(model.pipeline, module)
    return CutModel(**{**fields, **describe_cut(model, module, stack, chosen=chosen, rebuilt=rebuilt)})


def _with_files(model: LoadedModel, module: nn.Module) -> ModelSource:
    """Return where a model's files are; of one in memory they are written, and last as long as the cut module."""
    source = model.source
    if source.typed or source.folder.is_dir():
        return source
    made = TemporaryDirectory(prefix="encoder-surgery-", ignore_cleanup_errors=True)
    weakref.finalize(module, made.cleanup)
    folder = Path(made.name, source.name)
    model.pipeline.save_pretrained(str(folder), create_model_card=False)
    return replace(source, folder=folder)


def _copy_blocks(model: LoadedModel, chosen: Sequence[int]) -> nn.Module:
    """Copy a model without copying the removed blocks."""
    removed = [block for number, block in enumerate(model.stack.blocks, start=1) if number not in chosen]
    module: nn.Module = copy.deepcopy(model.module, {id(block): nn.Identity() for block in removed})
    blocks = list(module.get_submodule(model.stack.path).children())
    module.set_submodule(model.stack.path, nn.ModuleList(blocks[number - 1] for number in chosen))
    return module


def _check_law(model: LoadedModel, module: nn.Module, stack: LayerStack) -> None:
    layer = stack.depth
    states = []
    for encoder, blocks in ((model.module, model.stack), (module, stack)):
        with Capture(encoder, blocks, {layer: ("mean",)}) as capture, torch.inference_mode():
            states.append(capture.run(dummy_inputs(encoder))[layer, "mean"])
    refuse_other_states(model.source.name, layer, states[0], found=states[1])
