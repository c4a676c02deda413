"""Completeness check of a model folder: weights, configs, and everything listed in modules.json."""

import re
from pathlib import Path

from probe.errors import ModelError
from probe.io.model_files import (
    ADAPTER_CONFIG,
    SavedModule,
    file_set,
    find_transformer_part,
    list_modules,
    read_object,
    weight_files,
)
from probe.io.model_kinds import LAYERLESS, kind_of
from probe.io.safetensors_files import check_pointer, check_weights, list_tensors, list_weights

__all__ = ["check_folder", "count_unread_blocks", "find_fault", "list_pickles"]

_CONFIG = "config.json"
_OWN = "sentence_transformers."
# sentence-transformers modules without files: git does not keep empty folders, so theirs may be missing.
_WITHOUT_FILES = ("Normalize", "Dropout")
_WITH_WEIGHTS = (
    "Dense", "LayerNorm", "CNN", "LSTM", "WeightedLayerPooling", "StaticEmbedding", "WordEmbeddings",
)  # fmt: skip
# Names of the block count in transformers configs, and of the block index in weight names.
_DEPTHS = ("num_hidden_layers", "n_layers", "num_layers", "n_layer")
_BLOCK = re.compile(r"(.*?)\.(\d+)\.")
_INPUTS = ("Transformer", "CLIPModel")
_PICKLES = (".bin", ".pt", ".pth", ".ckpt")
# Git LFS pointer files are never longer.
_POINTER_LENGTH = 1024


def check_folder(folder: Path, name: str) -> None:
    """Raise if a folder is not a complete dense encoder.

    Args:
        folder: The folder.
        name: Name of the model in messages.

    Raises:
        ModelError: If it is not a dense encoder or incomplete.
    """
    kind = kind_of(folder)
    kind.check(name)
    for path in file_set(folder):
        if path.stat().st_size <= _POINTER_LENGTH:
            check_pointer(path)
    fault = find_fault(folder)
    if fault is not None:
        raise ModelError(f"'{name}' {_describe(folder, fault)}")
    check_weights(weight_files(folder))


def count_unread_blocks(folder: Path) -> int:
    """Return the number of blocks in the weights beyond the config's count; they are never loaded."""
    transformer = find_transformer_part(folder)
    config = read_object(transformer / _CONFIG)
    counted = next((config[name] for name in _DEPTHS if isinstance(config.get(name), int)), None)
    files = [path for path in list_weights(transformer) if path.suffix == ".safetensors"]
    if counted is None or config.get("is_encoder_decoder") is True:
        return 0
    found: dict[str, set[int]] = {}
    for name in list_tensors(files):
        part = _BLOCK.match(name)
        if part:
            found.setdefault(part[1], set()).add(int(part[2]))
    # A list of another kind has different indices, or fewer.
    lists = [blocks for blocks in found.values() if blocks == set(range(len(blocks))) and len(blocks) > counted]
    return len(lists[0]) - counted if len(lists) == 1 else 0


def list_pickles(folder: Path) -> list[str]:
    """Return the names of the pickle files beside a transformer's config."""
    return sorted(path.name for path in find_transformer_part(folder).glob("*") if path.suffix in _PICKLES)


def _describe(folder: Path, fault: str) -> str:
    pickles = list_pickles(folder)
    if fault.startswith("it has no weights") and pickles:
        return (
            f"holds only the pickle {pickles[0]}, which can run code when loaded: expected safetensors. If you trust "
            "the file, convert it with transformers: AutoModel.from_pretrained(FOLDER).save_pretrained(FOLDER)"
        )
    return fault.removeprefix("it ")


def find_fault(folder: Path) -> str | None:
    """Return the first missing part of a folder as a clause, or None if the folder is complete.

    Raises:
        ModelError: If a config file is malformed.
    """
    modules = list_modules(folder)
    missing = next((fault for module in modules if (fault := _lacks(module, first=module is modules[0]))), None)
    if missing is not None or kind_of(folder).kind == LAYERLESS:
        return missing
    transformer = find_transformer_part(folder)
    if (transformer / ADAPTER_CONFIG).is_file():
        return None
    if not (transformer / _CONFIG).is_file():
        return f"it has no {_CONFIG}: expected a transformers model folder"
    weights = list_weights(transformer)
    return None if weights else "it has no weights: expected safetensors"


def _lacks(module: SavedModule, *, first: bool) -> str | None:
    """Return the missing part of a sentence-transformers module; None for other classes, whose needs are unknown."""
    if not module.type.startswith(_OWN) or module.name in _WITHOUT_FILES or (first and module.name in _INPUTS):
        return None
    where = f"it lacks a part: {module.path or 'its folder'} (the {module.name} in its modules.json)"
    if not module.folder.is_dir():
        return f"{where} is missing; download the whole folder again"
    if module.name not in ("StaticEmbedding",) and not any(module.folder.glob(f"*{_CONFIG}")):
        return f"{where} has no {_CONFIG}; download the whole folder again"
    if module.name in _WITH_WEIGHTS and not _has_weights(module.folder):
        return f"{where} has no weights; download the whole folder again"
    return None


def _has_weights(folder: Path) -> bool:
    return bool(list_weights(folder)) or (folder / "pytorch_model.bin").is_file()
