"""Cut one tower of a two-tower model: keep some of its blocks, and all of the other tower."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from probe.encoding.tower_reader import TowerReader
from probe.errors import ModelError
from probe.layers.capture import Capture
from probe.layers.tower_stack import Tower
from probe.models.info import TOWER_CONFIGS
from probe.models.tower_loading import LoadedTower, example_inputs
from surgery.cutting.blocks import CutModel, describe_cut, is_cut, refuse_other_states
from surgery.cutting.config import adopt, block_changes, change_config
from surgery.cutting.rebuild import Rebuilt, build

__all__ = ["CutTower", "keep_tower"]


@dataclass(frozen=True, repr=False)
class CutTower(CutModel, LoadedTower):
    """A tower with a subset of another tower's blocks; the model's other tower is complete, in its files."""

    @property
    def path(self) -> str:
        """Name of the block list inside the model of both towers, such as `vision_model.encoder.layers`."""
        return _inside_pair(self.parts)


def keep_tower(model: LoadedTower, chosen: Sequence[int]) -> CutTower:
    """Keep chosen blocks of a tower.

    Args:
        model: The tower; it is not changed.
        chosen: Blocks to keep, counted from 1, in ascending order.

    Returns:
        A new tower with those blocks; norm, pooling and projection are unchanged.

    Raises:
        ModelError: The config does not count the blocks, or the embeddings differ from the layer it was cut at.
    """
    module, parts = _copy_blocks(model, chosen)
    pair: Any = module.model
    counts = getattr(pair.config, TOWER_CONFIGS[module.tower])
    if getattr(counts, "num_hidden_layers", None) != model.depth:
        raise ModelError(
            f"the config of '{model.source.name}' does not count its {model.depth} blocks (num_hidden_layers): a cut "
            "could not be loaded"
        )
    rebuilt = _fit_config(pair, model, chosen, within=f"{_inside_pair(parts)}.")
    if is_cut(chosen):
        _check_law(model, module, len(chosen))
    fields = {name: getattr(model, name) for name in LoadedTower.__dataclass_fields__}
    return CutTower(
        **{**fields, "parts": parts, **describe_cut(model, module, parts.stack, chosen=chosen, rebuilt=rebuilt)}
    )


def _fit_config(pair: Any, model: LoadedTower, chosen: Sequence[int], *, within: str) -> Rebuilt:
    """Adapt the config of both towers to the remaining blocks of one, and check that it rebuilds them."""
    whole: Any = model.module.model
    inner = TOWER_CONFIGS[str(model.tower)]

    def try_out(changes: dict[str, Any]) -> None:
        """Build the full model from a config with the given changes."""
        build(whole, change_config(whole.config, changes, inner))

    changes = next(block_changes(whole.config, inner, depth=model.depth, chosen=chosen, try_out=try_out))
    adopt(pair.config, change_config(whole.config, changes, inner), inner)
    with torch.device("meta"):
        built = type(pair)(pair.config)
    expected, found = (
        {(key, value.shape) for key, value in made.state_dict().items() if key.startswith(within)}
        for made in (built, pair)
    )
    wrong = sorted(key for key, _ in expected ^ found)
    if wrong:
        raise ModelError(
            f"'{model.source.name}' cannot be reduced to the blocks {','.join(map(str, chosen))}: rebuilt from its "
            f"config, the model has other tensors ({wrong[0]})"
        )
    return Rebuilt(changes)


def _inside_pair(parts: Tower) -> str:
    return parts.stack.path.removeprefix("model.")


def _copy_blocks(model: LoadedTower, chosen: Sequence[int]) -> tuple[Any, Tower]:
    """Copy a tower without copying the removed blocks; the returned parts are those of the copy."""
    removed = [block for number, block in enumerate(model.stack.blocks, start=1) if number not in chosen]
    module, parts = copy.deepcopy((model.module, model.parts), {id(block): nn.Identity() for block in removed})
    path = parts.stack.path
    blocks = nn.ModuleList(parts.stack.blocks[number - 1] for number in chosen)
    module.set_submodule(path, blocks)
    return module, replace(parts, stack=replace(parts.stack, blocks=blocks))


def _check_law(model: LoadedTower, module: nn.Module, layer: int) -> None:
    layer_pooling = (layer, model.parts.pooling)
    inputs = {name: value.to(model.device) for name, value in example_inputs(model.tokenizer, model.texts).items()}
    mask = torch.ones(2, model.parts.tokens, dtype=torch.long, device=model.device)
    with torch.inference_mode():
        with Capture(
            model.module, model.stack, {layer: (layer_pooling[1],)}, pooling_at=TowerReader(model).pooling_at
        ) as capture:
            expected = capture.run({"attention_mask": mask, **inputs})[layer_pooling]
        refuse_other_states(model.source.name, layer, expected, found=module(**inputs).float())
