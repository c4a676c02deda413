"""Write a two-tower model with one tower cut: transformers files and sentence-transformers settings."""

import json
from pathlib import Path
from typing import Any

from probe.data.training_record import write_learned
from probe.errors import CallError
from probe.io.model_files import find_transformer_part
from probe.layers.hookpoint import TOWERS
from probe.models.hashes import PROCESSOR_FILES, TOKENIZER_FILES
from probe.models.info import TOWER_CONFIGS
from probe.models.published_config import read_model_config
from probe.models.tower_loading import TextInputs, read_text_inputs
from surgery.cutting.towers import CutTower
from surgery.saving.cards import write_tower_card
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

__all__ = ["check_head", "write_towers"]


def check_head(model: CutTower, head: OutputHead) -> None:
    """Reject an output head that a two-tower folder cannot hold.

    Raises:
        CallError: The pooling is not the tower's own, or there are modules on top.
    """
    if head.pooling != model.pooling:
        raise CallError(
            f"--pooling {head.pooling}: '{model.source.name}' pools by '{model.pooling}' in its own code, which "
            "cannot be changed in a two-tower model: remove --pooling"
        )
    if head.top:
        raise CallError(f"'{model.source.name}' is one of two towers: an adaptor cannot be added to one of them")


def write_towers(model: CutTower, folder: Path, head: OutputHead) -> None:
    """Write a two-tower model with one tower cut into an empty folder; the head must be the tower's own pooling.

    Raises:
        CallError: The head is different.
        ModelError: The tensors cannot be named as in the original files.
    """
    check_head(model, head)
    source = find_transformer_part(model.source.folder)
    write_json(folder / "config.json", _config_of_both(model, read_config(source)))
    write_weights(model, model.path, source, out=folder)
    copy_files(source, folder, (*TOKENIZER_FILES, *PROCESSOR_FILES, "*.py"))
    config: Any = model.module.config
    _write_modules(model, folder, model.texts or read_text_inputs(model.files, config)[1])
    write_json(folder / PROVENANCE, {**provenance(model, head.pooling), "tower": model.tower, **_earlier(model)})
    write_learned(model.learned, folder)
    write_tower_card(model, folder)


def _earlier(model: CutTower) -> dict[str, Any]:
    """Return the provenance of the source folder if it was cut before (its other tower)."""
    path = model.source.folder / PROVENANCE
    return {"earlier": json.loads(path.read_text("utf-8"))} if path.is_file() else {}


def _config_of_both(model: CutTower, config: dict[str, Any]) -> dict[str, Any]:
    own = TOWER_CONFIGS[str(model.tower)]
    loaded: Any = model.module.config
    # The first CLIP configs hold every value twice, and transformers reads the second.
    keys = [name for name in (own, f"{own}_dict") if config.get(name) is not None]
    changed = {name: {**config[name], **count_blocks(model, getattr(loaded, own), config[name])} for name in keys}
    return compute_float32({**config, **changed})


def _write_modules(model: CutTower, folder: Path, texts: TextInputs) -> None:
    normalizes = read_model_config(model.source.folder).normalizes
    write_modules(folder, ["Transformer", *(["Normalize"] if normalizes else [])])
    reads = {name: {"method": f"get_{name}_features", "method_output_name": "pooler_output"} for name in TOWERS}
    settings: dict[str, Any] = {
        "max_seq_length": texts.longest,
        "modality_config": reads,
        "module_output_name": "sentence_embedding",
        # The same image reader as here, even if torchvision is installed.
        "processor_kwargs": {"backend": "pil"},
    }
    if texts.fills:
        settings["processing_kwargs"] = {"text": {"padding": "max_length"}}
    write_json(folder / "sentence_bert_config.json", settings)
    write_prompts(model, folder)
