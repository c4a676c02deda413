"""Hashes of all that decides a model's states, layer by layer: of tensors and settings, not of files or names.

A cut model's layers, and those of the same model in half precision or in another folder, have the hashes of the
model's own.
"""

import hashlib
import json
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from probe.layers.layer_stack import LayerStack

__all__ = ["hash_modules", "hash_states"]

# Settings of transformers' config that change no state, or that count the blocks.
_IDLE = {
    "_attn_implementation_autoset",
    "_name_or_path",
    "architectures",
    "auto_map",
    "dtype",
    "id2label",
    "label2id",
    "num_hidden_layers",
    "torch_dtype",
    "transformers_version",
    "use_cache",
}


def hash_states(module: nn.Module, stack: LayerStack) -> tuple[str, ...]:
    """Return the sha256 of all that decides the states of each layer, from layer 0 to the last.

    Args:
        module: The transformer, in float32.
        stack: Its layers.
    """
    in_blocks = f"{stack.path}."
    around = {
        name: tensor
        for name, tensor in module.state_dict().items()
        if not name.startswith(in_blocks) and stack.needs(name)
    }
    digest = hashlib.sha256(type(module).__name__.encode())
    _add(digest, around.items())
    hashes = []
    for layer in range(stack.depth + 1):
        if layer:
            _add(digest, stack.blocks[layer - 1].state_dict().items())
        settings = json.dumps(_settings(vars(module)["config"], layer, stack.depth), sort_keys=True, default=str)
        whole = digest.copy()
        whole.update(settings.encode())
        hashes.append(whole.hexdigest())
    return tuple(hashes)


def hash_modules(modules: Iterable[Any], settings: object) -> str:
    """Return the sha256 of modules of sentence-transformers: classes, settings and tensors."""
    digest = hashlib.sha256(json.dumps(settings, default=str).encode())
    for module in modules:
        said: dict[str, Any] = getattr(module, "get_config_dict", dict)()
        digest.update(f"{type(module).__qualname__} {json.dumps(said, sort_keys=True, default=str)}".encode())
        _add(digest, module.state_dict().items())
    return digest.hexdigest()


def _settings(config: Any, layer: int, depth: int) -> dict[str, Any]:
    """Return the settings that can change the states of a layer; of lists with an entry per block, those up to it."""
    counts = {config.attribute_map.get("num_hidden_layers", "num_hidden_layers")} | _IDLE
    found = {name: value for name, value in config.to_dict().items() if name not in counts}
    for name, value in found.items():
        if "layer" in name and isinstance(value, list) and len(value) == depth:
            found[name] = value[:layer]
    return {**found, "attention": getattr(config, "_attn_implementation", None)}


def _add(digest: Any, tensors: Iterable[tuple[str, Tensor]]) -> None:
    for name, tensor in sorted(tensors, key=lambda item: item[0]):
        digest.update(f"{name} {tuple(tensor.shape)}".encode())
        plain = tensor.detach().cpu()
        plain = plain.float() if plain.is_floating_point() else plain
        digest.update(plain.contiguous().reshape(-1).view(torch.uint8).numpy().data)
