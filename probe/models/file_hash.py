"""Hashes of a model's files: of those that decide its vectors, each kind by itself."""

import hashlib
import json
import os
from pathlib import Path

from probe.errors import ModelError
from probe.io.model_files import file_set, weight_files
from probe.io.package_data import library_versions
from probe.models.options import LoadOptions
from probe.models.published_config import ModelConfig
from probe.models.sources import hash_files

__all__ = [
    "PROCESSOR_FILES",
    "TOKENIZER_FILES",
    "hash_config",
    "hash_folder",
    "hash_inputs",
    "hash_parts",
    "hash_tokenizer",
    "hash_whole",
]

_SETTINGS = {"config.json", "config_sentence_transformers.json", "generation_config.json", "modules.json"}
TOKENIZER_FILES = ("tokenizer*.json", "*_tokens*.json", "vocab.*", "merges.txt", "*.model")
PROCESSOR_FILES = ("preprocessor_config.json", "processor_config.json")


def hash_parts(config: ModelConfig, tower: str | None, name: str) -> dict[str, str]:
    """Return the hashes of a transformer's weights, config and tokenizer."""
    hash_inputs = _hash_image_processor if tower == "image" else hash_tokenizer
    return {
        "weights_hash": hash_files(sorted(config.transformer.glob("*.safetensors"))),
        "config_hash": hash_config(config, tower),
        "tokenizer_hash": hash_inputs(config.transformer, name),
    }


def hash_whole(folder: Path) -> dict[str, str]:
    """Return the same of an encoder without layers, whose folder is no transformer's."""
    settings = hash_files(file_set(folder))
    return {"weights_hash": hash_files(weight_files(folder)), "config_hash": settings, "tokenizer_hash": settings}


def hash_inputs(folder: Path, config: ModelConfig) -> str:
    """Return the sha256 of the files beside a transformer's weights, without those that are read as settings."""
    read = [path for path in file_set(folder) if path.parent == config.transformer]
    inputs = [path for path in read if path.name not in _SETTINGS and not path.match("sentence_*_config.json")]
    names = sorted(path.name for path in inputs)
    return hashlib.sha256(f"{hash_files(sorted(inputs))} {names}".encode()).hexdigest()


def hash_folder(folder: Path, config: ModelConfig, options: LoadOptions) -> str:
    """Return the sha256 of all files that sentence-transformers may read beside the transformer's weights."""
    heads = [path for path in weight_files(folder) if path.parent != config.transformer]
    read = [*file_set(folder), *heads]
    names = [os.path.relpath(path, folder) if path.is_relative_to(folder) else path.name for path in read]
    said = [names, options.attn, options.config, options.stop_before, options.trust_remote_code, config.pooling]
    return hashlib.sha256(f"{hash_files(read)} {json.dumps(said)}".encode()).hexdigest()


def _hash_image_processor(folder: Path, name: str) -> str:
    """Return the sha256 of what decides the pixels that a model sees.

    Raises:
        ModelError: There are no such files.
    """
    files = [folder / file for file in PROCESSOR_FILES if (folder / file).is_file()]
    if not files:
        raise ModelError(f"'{name}' holds no image processor: expected preprocessor_config.json beside the weights")
    versions = library_versions(("pillow",))
    return hashlib.sha256(f"{hash_files(files)} {versions}".encode()).hexdigest()


def hash_tokenizer(folder: Path, name: str) -> str:
    """Return the sha256 of the files of a tokenizer, whose model is called `name`.

    Raises:
        ModelError: There are none.
    """
    files = sorted({path for pattern in TOKENIZER_FILES for path in folder.glob(pattern)})
    if not files:
        raise ModelError(f"'{name}' holds no tokenizer: expected tokenizer.json or a vocabulary beside the weights")
    return hash_files(files)


def hash_config(config: ModelConfig, tower: str | None) -> str:
    """Return the sha256 of a transformer's config and code, and of what else decides how it reads."""
    files = [config.transformer / "config.json", *sorted(config.transformer.glob("*.py"))]
    text = f"{hash_files(files)} {config.lower_case}" + (f" {tower}" if tower else "")
    return hashlib.sha256(text.encode()).hexdigest()
