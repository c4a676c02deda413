"""Hashes of everything that determines a model's vectors: files, tensors and settings.

Tensors are hashed per layer, so a cut model, or the same model in half precision or in another folder, has the same
hashes at the layers they share.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from probe.errors import ModelError
from probe.io.model_files import weight_files
from probe.io.package_data import library_versions
from probe.layers.layer_stack import LayerStack
from probe.models.options import LoadOptions
from probe.models.published_config import ModelConfig
from probe.models.sources import hash_files

__all__ = [
    "PROCESSOR_FILES",
    "QUANTIZER_CODES",
    "TOKENIZER_FILES",
    "hash_config",
    "hash_folder",
    "hash_inputs",
    "hash_modules",
    "hash_parts",
    "hash_states",
    "hash_tensors",
    "hash_tokenizer",
    "hash_whole",
]

# Config entries that change no state, or that count the blocks.
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
# Codes of stored vectors, beside a model that does not read them.
QUANTIZER_CODES = "quantizer.safetensors"
# Values of a tensor that are converted and hashed at a time.
_PART = 1 << 20
_SETTINGS = {"config.json", "config_sentence_transformers.json", "generation_config.json", "modules.json"}
TOKENIZER_FILES = ("tokenizer*.json", "*_tokens*.json", "vocab.*", "merges.txt", "*.model")
PROCESSOR_FILES = ("preprocessor_config.json", "processor_config.json")


def hash_parts(config: ModelConfig, tower: str | None, name: str) -> dict[str, str]:
    """Return the hashes of a transformer's weights, config and tokenizer."""
    hash_inputs = _hash_image_processor if tower == "image" else hash_tokenizer
    return {
        "weights_hash": hash_files(
            sorted(set(config.transformer.glob("*.safetensors")) - {config.transformer / QUANTIZER_CODES})
        ),
        "config_hash": hash_config(config, tower),
        "tokenizer_hash": hash_inputs(config.transformer, name),
    }


def hash_whole(folder: Path, read: list[Path], config: ModelConfig) -> dict[str, str]:
    """Return the same hashes for an encoder without layers, given its `file_set`."""
    settings = hash_files(read)
    weights = weight_files(folder, config.modules if config.route else None)
    return {"weights_hash": hash_files(weights), "config_hash": settings, "tokenizer_hash": settings}


def hash_inputs(read: list[Path], config: ModelConfig) -> str:
    """Return the sha256 of the files beside a transformer's weights, except files that are parsed as settings."""
    beside = [path for path in read if path.parent == config.transformer]
    inputs = [path for path in beside if path.name not in _SETTINGS and not path.match("sentence_*_config.json")]
    names = sorted(path.name for path in inputs)
    return hashlib.sha256(f"{hash_files(sorted(inputs))} {names}".encode()).hexdigest()


def hash_folder(folder: Path, read: list[Path], config: ModelConfig, *, options: LoadOptions) -> str:
    """Return the sha256 of all files except weights that sentence-transformers may read."""
    heads = [path for path in weight_files(folder) if path.parent != config.transformer]
    read = [*read, *heads]
    names = [os.path.relpath(path, folder) if path.is_relative_to(folder) else path.name for path in read]
    said = [names, options.attn, options.config, options.stop_before, options.trust_remote_code, config.pooling]
    said += [config.route] if config.route else []
    return hashlib.sha256(f"{hash_files(read)} {json.dumps(said)}".encode()).hexdigest()


def _hash_image_processor(folder: Path, name: str) -> str:
    """Return the sha256 of everything that determines the pixels a model receives.

    Raises:
        ModelError: If the folder has no image processor.
    """
    files = [folder / file for file in PROCESSOR_FILES if (folder / file).is_file()]
    if not files:
        raise ModelError(f"'{name}' has no image processor: expected preprocessor_config.json beside the weights")
    versions = library_versions(("pillow",))
    return hashlib.sha256(f"{hash_files(files)} {versions}".encode()).hexdigest()


def hash_tokenizer(folder: Path, name: str) -> str:
    """Return the sha256 of a tokenizer's files; `name` is the model's name in messages.

    Raises:
        ModelError: If the folder has no tokenizer.
    """
    files = sorted({path for pattern in TOKENIZER_FILES for path in folder.glob(pattern)})
    if not files:
        raise ModelError(f"'{name}' has no tokenizer: expected tokenizer.json or a vocabulary beside the weights")
    return hash_files(files)


def hash_config(config: ModelConfig, tower: str | None) -> str:
    """Return the sha256 of a transformer's config and code, and of the other settings of its input."""
    files = [config.transformer / "config.json", *sorted(config.transformer.glob("*.py"))]
    text = f"{hash_files(files)} {config.lower_case}" + (f" {tower}" if tower else "")
    return hashlib.sha256(text.encode()).hexdigest()


def hash_states(module: nn.Module, stack: LayerStack) -> tuple[str, ...]:
    """Return the sha256 of everything that determines the states of each layer, from layer 0 to the last.

    Args:
        module: The transformer, with the weights it computes with.
        stack: Its layers.
    """
    in_blocks = f"{stack.path}."
    around = {
        name: tensor
        for name, tensor in module.state_dict().items()
        if not name.startswith(in_blocks) and stack.needs(name)
    }
    digest = hashlib.sha256(type(module).__name__.encode())
    _add(digest, around)
    hashes = []
    for layer in range(stack.depth + 1):
        if layer:
            _add(digest, stack.blocks[layer - 1].state_dict())
        settings = json.dumps(_settings(vars(module)["config"], layer, stack.depth), sort_keys=True, default=str)
        whole = digest.copy()
        whole.update(settings.encode())
        hashes.append(whole.hexdigest())
    return tuple(hashes)


def hash_modules(modules: Iterable[Any], settings: object) -> str:
    """Return the sha256 of sentence-transformers modules: classes, settings and tensors."""
    digest = hashlib.sha256(json.dumps(settings, default=str).encode())
    for module in modules:
        said: dict[str, Any] = getattr(module, "get_config_dict", dict)()
        digest.update(f"{type(module).__qualname__} {json.dumps(said, sort_keys=True, default=str)}".encode())
        _add(digest, module.state_dict())
    return digest.hexdigest()


def hash_tensors(tensors: Mapping[str, Tensor]) -> str:
    """Return the sha256 of tensors with their names and dtypes, independent of their order."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        _add_tensor(digest, f"{name} {tensor.dtype}", tensor, dtype=tensor.dtype)
    return digest.hexdigest()


def _settings(config: Any, layer: int, depth: int) -> dict[str, Any]:
    """Return the settings that can change the states of a layer; lists with one entry per block are cut at it."""
    counts = {config.attribute_map.get("num_hidden_layers", "num_hidden_layers")} | _IDLE
    found = {name: value for name, value in config.to_dict().items() if name not in counts}
    for name, value in found.items():
        if "layer" in name and isinstance(value, list) and len(value) == depth:
            found[name] = value[:layer]
    return {**found, "attention": getattr(config, "_attn_implementation", None)}


def _add(digest: Any, tensors: Mapping[str, Tensor]) -> None:
    """Add tensors by value, independent of their precision."""
    for name, tensor in sorted(tensors.items()):
        _add_tensor(digest, name, tensor, dtype=torch.float32 if tensor.is_floating_point() else tensor.dtype)


def _add_tensor(digest: Any, name: str, tensor: Tensor, *, dtype: torch.dtype) -> None:
    """Add a tensor as values of a dtype, converted in parts: a copy of a large one would double a model's memory."""
    digest.update(f"{name} {tuple(tensor.shape)}".encode())
    flat = tensor.detach().reshape(-1)
    for start in range(0, len(flat), _PART):
        digest.update(flat[start : start + _PART].cpu().to(dtype).contiguous().view(torch.uint8).numpy().data)
