"""Write a cut model of a single tower: transformers' files and sentence-transformers' own modules."""

from pathlib import Path
from typing import Any

from probe.models.info import TOKENIZER_FILES
from probe.models.published_config import ModelConfig, find_transformer, read_model_config
from probe.models.training_record import write_learned
from surgery.cutting.blocks import CutModel
from surgery.saving.cards import write_card
from surgery.saving.files import (
    PROVENANCE,
    compute_float32,
    copy_files,
    count_blocks,
    provenance,
    read_config,
    write_json,
    write_modules,
    write_prompts,
    write_weights,
)
from surgery.saving.heads import OutputHead

__all__ = ["write_single"]

# The flags every version of sentence-transformers understands.
_POOLING_FLAGS = {
    "cls": "pooling_mode_cls_token",
    "max": "pooling_mode_max_tokens",
    "mean": "pooling_mode_mean_tokens",
    "last": "pooling_mode_lasttoken",
}


def write_single(model: CutModel, folder: Path, head: OutputHead) -> None:
    """Write a cut model of a single tower, and the head after its blocks, into an empty folder.

    Raises:
        ModelError: The files name their tensors in a way of their own.
    """
    source = find_transformer(model.source.folder)
    write_json(folder / "config.json", _cut_config(model, read_config(source)))
    write_weights(model, model.stack.path, source, out=folder)
    copy_files(source, folder, (*TOKENIZER_FILES, "*.py"))
    _write_modules(model, read_model_config(model.source.folder), folder, head=head)
    write_json(folder / PROVENANCE, provenance(model, head.pooling))
    write_learned(model.learned, folder)
    write_card(model, folder, head)


def _cut_config(model: CutModel, config: dict[str, Any]) -> dict[str, Any]:
    """Return the original's config.json, telling of the blocks that are left."""
    loaded: Any = model.module.config
    text = loaded.get_text_config()
    # A config inside the config, where a model has towers.
    inner = next((name for name, value in vars(loaded).items() if value is text), None)
    before = config.get(inner, {}) if inner else config
    changed = {**before, **count_blocks(model, text, before)}
    return compute_float32({**config, inner: changed} if inner else changed)


def _write_modules(model: CutModel, config: ModelConfig, folder: Path, *, head: OutputHead) -> None:
    names = ["Transformer", "Pooling"]
    if head.top:
        names += ["Normalize", *(module.type for module in head.top), "Normalize"]
    elif config.normalizes:
        names.append("Normalize")
    paths = write_modules(folder, names)
    flags = {flag: name == head.pooling for name, flag in _POOLING_FLAGS.items()}
    write_json(paths[1] / "config.json", {"word_embedding_dimension": model.width, **flags})
    for module, path in zip(head.top, paths[3:], strict=False):
        module.write(path)
    sizes = {"max_seq_length": model.max_tokens, "do_lower_case": config.lower_case}
    write_json(folder / "sentence_bert_config.json", sizes)
    write_prompts(model, folder)
