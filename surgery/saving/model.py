"""Write a cut single-tower model: transformers files and sentence-transformers modules."""

import shutil
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from probe.data.training_record import write_learned
from probe.errors import ModelError
from probe.io.model_files import SavedModule, find_transformer_part
from probe.layers.hookpoint import OWN
from probe.models.hashes import PROCESSOR_FILES, TOKENIZER_FILES
from probe.models.info import NO_LIMIT
from probe.models.published_config import ModelConfig, read_model_config
from surgery.cutting.blocks import CutModel
from surgery.saving.cards import write_card
from surgery.saving.files import (
    DTYPE_NAMES,
    PROVENANCE,
    compute_float32,
    copy_files,
    count_blocks,
    provenance,
    read_config,
    read_settings,
    write_json,
    write_modules,
    write_prompts,
    write_weights,
)
from surgery.saving.heads import OutputHead, TopModule
from surgery.saving.old_form import POOLING_FLAGS, write_old_form

__all__ = ["scales", "write_single"]

# Files of the tokenizer and processor, and the model's own code.
_TEXT_FILES = (*TOKENIZER_FILES, *PROCESSOR_FILES, "chat_template*", "*.py")
# Name of the pooled vectors among the features that sentence-transformers' modules hand on.
_POOLED = "sentence_embedding"


def write_single(model: CutModel, folder: Path, head: OutputHead) -> None:
    """Write a cut single-tower model with its output head into an empty folder.

    Raises:
        ModelError: The model has no files, or its tensors cannot be named as in the original files.
    """
    if not model.source.folder.is_dir():
        raise ModelError(
            f"'{model.source.name}' was loaded from memory and has no files: save it first, and give its folder"
        )
    source = find_transformer_part(model.source.folder)
    write_json(folder / "config.json", _cut_config(model, read_config(source)))
    write_weights(model, model.stack.path, source, out=folder)
    copy_files(source, folder, (*_TEXT_FILES, *model.tokenizer.vocab_files_names.values()))
    copy_files(model.source.folder, folder, ("*.py",))
    _write_modules(model, read_model_config(model.source.folder), folder, head=head)
    write_json(folder / PROVENANCE, provenance(model, head.pooling))
    write_learned(model.learned, folder)
    write_card(model, folder, head)


def _cut_config(model: CutModel, config: dict[str, Any]) -> dict[str, Any]:
    """Return the original's config.json, adapted to the remaining blocks."""
    loaded: Any = model.module.config
    text = loaded.get_text_config()
    # Two-tower models have a nested text config.
    inner = next((name for name, value in vars(loaded).items() if value is text), None)
    before = config.get(inner, {}) if inner else config
    changed = {**before, **count_blocks(model, text, before)}
    return compute_float32({**config, inner: changed} if inner else changed)


def _write_modules(model: CutModel, config: ModelConfig, folder: Path, *, head: OutputHead) -> None:
    below = _own_modules(model, config) if head.pooling == OWN else [*_pooling_modules(model, config, head.pooling)]
    modules = _put_on_top(below, head.top) if head.top else below
    paths = write_modules(folder, ["Transformer", *(module.type for module in modules)])
    for module, path in zip(modules, paths[1:], strict=True):
        module.write(path)
    write_old_form(folder)
    _write_settings(model, config, folder)
    own = head.pooling == OWN and not head.top
    write_prompts(model, folder, own=own, similarity="cosine" if head.top else None)


def _put_on_top(below: Sequence[TopModule], top: Sequence[TopModule]) -> list[TopModule]:
    """Return modules followed by others that map vectors of length 1, and give such.

    Servers that read few modules have no normalization before a linear map; without a bias, the map needs none.
    """
    unit, is_unit = TopModule("Normalize", is_unit=True), below[-1].is_unit
    if all(module.scale_free for module in top):
        return [*(below[:-1] if is_unit else below), *top, unit]
    return [*below, *([] if is_unit else [unit]), *top, unit]


def _pooling_modules(model: CutModel, config: ModelConfig, pooling: str) -> Iterator[TopModule]:
    """Yield a bare pooling module, then a normalization if the original has one."""
    chosen = "lasttoken" if pooling == "last" else pooling
    flags = {flag: name == chosen for name, flag in POOLING_FLAGS.items()}
    settings = {"word_embedding_dimension": model.width, **flags}
    yield TopModule("Pooling", lambda folder: write_json(folder / "config.json", settings))
    if scales(config, pooling):
        yield TopModule("Normalize", is_unit=True)


def _own_modules(model: CutModel, config: ModelConfig) -> list[TopModule]:
    """Return the original's own modules after its transformer, as copies of their files."""
    source = model.source.folder
    return [
        TopModule(entry.type, partial(_copy_module, source / entry.path), is_unit=_scales_vectors(entry))
        for entry in config.modules[1:]
    ]


def _scales_vectors(entry: SavedModule) -> bool:
    """Return whether a module is sentence-transformers' normalization of the pooled vectors, and not of others."""
    if entry.name != "Normalize" or not entry.type.startswith("sentence_transformers."):
        return False
    settings = read_settings(entry.folder, "config.json") if entry.path else {}
    return all(settings.get(name) in (None, _POOLED) for name in ("module_input_name", "module_output_name"))


def _copy_module(source: Path, folder: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, folder, dirs_exist_ok=True)


def scales(config: ModelConfig, pooling: str) -> bool:
    """Return whether a model saved with a bare pooling normalizes its vectors, as the original does."""
    return pooling != OWN and config.normalizes and config.similarity == "cosine"


def _write_settings(model: CutModel, config: ModelConfig, folder: Path) -> None:
    """Write the original's sentence-transformers settings, except those that the cut determines."""
    sizes = read_settings(config.transformer, "sentence_*_config.json")
    for name in ("model_args", "model_kwargs"):
        if name in sizes:  # in the original's compute dtype, a cut would not give the vectors of the layer
            sizes[name] = {key: value for key, value in sizes[name].items() if key not in DTYPE_NAMES}
    aliases = getattr(model.module.config, "attribute_map", {})
    for name in ("config_args", "config_kwargs"):
        if name in sizes:  # these override config.json, and some count the original's blocks
            kept = {
                key: value for key, value in sizes[name].items() if aliases.get(key, key) not in model.config_changes
            }
            sizes[name] = kept
    longest = None if model.max_tokens >= NO_LIMIT else model.max_tokens
    write_json(
        folder / "sentence_bert_config.json",
        {**sizes, "max_seq_length": longest, "do_lower_case": config.lower_case},
    )
