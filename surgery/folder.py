"""Save a cut model as a folder that anybody can load: transformers' files and sentence-transformers' own modules."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from probe.errors import CallError, ModelError
from probe.files import replace_folder
from probe.learned import write_learned
from probe.model_config import ModelConfig, find_transformer, read_model_config
from probe.profile import TOKENIZER_FILES
from probe.reader import own_pooling
from surgery.card import write_card
from surgery.cutting import CutModel
from surgery.finish import Finish
from surgery.tower_cutting import CutTower
from surgery.weights import write_weights

__all__ = [
    "PROVENANCE",
    "check_out",
    "compute_float32",
    "copy_files",
    "count_blocks",
    "provenance",
    "read_config",
    "save",
    "save_folder",
    "write_json",
    "write_model",
    "write_modules",
]

PROVENANCE = "surgery.json"

# Names of the dtype a model computes in where nobody asks for one: today's, and the one before.
_DTYPES = {"dtype", "torch_dtype"}
# The flags every version of sentence-transformers understands.
_POOLING_FLAGS = {
    "cls": "pooling_mode_cls_token",
    "max": "pooling_mode_max_tokens",
    "mean": "pooling_mode_mean_tokens",
    "last": "pooling_mode_lasttoken",
}


def check_out(out: Path, force: bool) -> None:
    """Refuse to replace anything but a folder of ours, and that only when told to.

    Args:
        out: Where a model is to go.
        force: Whether one that is there may be replaced.

    Raises:
        CallError: It may not.
    """
    if not out.exists():
        return
    if not out.is_dir():
        raise CallError(f"'{out}' is a file: expected the name of a new folder")
    if not force:
        raise CallError(f"'{out}' exists: choose another --out, or pass --force to replace it")
    if not (out / PROVENANCE).is_file():
        raise CallError(
            f"'{out}' is not a model this command made, so --force does not replace it: choose another --out"
        )


def save(
    model: CutModel,
    out: Path,
    finish: Finish | None = None,
    force: bool = False,
    check: Callable[[Path], object] = lambda folder: None,
) -> Path:
    """Save a cut model in sentence-transformers' layout.

    Args:
        model: What `cut` or `keep` gave.
        out: Folder to make; it is whole or not there.
        finish: What comes after the blocks; the model's own pooling alone when left out.
        force: Replace a folder that an earlier save made.
        check: Is given the finished folder before it gets its name; whatever it raises leaves nothing behind.

    Returns:
        The folder.

    Raises:
        CallError: The folder exists, or the model has no pooling of its own and none was given.
        ModelError: The files cannot be written.
    """
    check_out(out, force)
    chosen = finish or Finish(own_pooling(model))
    return save_folder(out, lambda folder: write_model(model, folder, chosen), force, check)


def save_folder(out: Path, write: Callable[[Path], object], force: bool, check: Callable[[Path], object]) -> Path:
    """Make a model's folder, whole or not at all.

    Args:
        out: Folder to make.
        write: Writes the model into the empty folder it is given.
        force: Replace a folder that an earlier save made.
        check: Is given the finished folder before it gets its name; whatever it raises leaves nothing behind.

    Returns:
        The folder.

    Raises:
        CallError: The folder exists.
        ModelError: The files cannot be written.
    """
    check_out(out, force)

    def fill(folder: Path) -> None:
        """Write the model and check it."""
        write(folder)
        check(folder)

    try:
        replace_folder(out, fill)
    except OSError as error:
        raise ModelError(f"'{out}' cannot be written: {error}") from error
    return out


def write_model(model: CutModel, folder: Path, finish: Finish) -> None:
    """Write a cut model into an empty folder.

    Args:
        model: The model, or a tower of one: the folder is that of both towers then.
        folder: Where to.
        finish: What comes after the blocks.

    Raises:
        CallError: Of a tower, something else is to come after them than what is there.
        ModelError: The files name their tensors in a way of their own.
    """
    if isinstance(model, CutTower):
        from surgery.tower_folder import write_towers

        write_towers(model, folder, finish)
        return
    source = find_transformer(model.source.folder)
    write_json(folder / "config.json", _cut_config(model, read_config(source)))
    write_weights(model, model.stack.path, source, folder)
    copy_files(source, folder, (*TOKENIZER_FILES, "*.py"))
    _write_modules(model, read_model_config(model.source.folder), folder, finish)
    write_json(folder / PROVENANCE, provenance(model, finish.pooling))
    write_learned(model.learned, folder)
    write_card(model, folder, finish)


def read_config(source: Path) -> dict[str, Any]:
    """Return the config.json of a folder."""
    config: dict[str, Any] = json.loads((source / "config.json").read_text("utf-8"))
    return config


def copy_files(source: Path, folder: Path, patterns: Sequence[str]) -> None:
    """Copy what matches any of the patterns from one folder to another."""
    for path in sorted({path for pattern in patterns for path in source.glob(pattern)}):
        shutil.copyfile(path, folder / path.name)


def _cut_config(model: CutModel, config: dict[str, Any]) -> dict[str, Any]:
    """Return the original's config.json, telling of the blocks that are left."""
    loaded: Any = model.module.config
    text = loaded.get_text_config()
    # A config inside the config, where a model has towers.
    inner = next((name for name, value in vars(loaded).items() if value is text), None)
    before = config.get(inner, {}) if inner else config
    changed = {**before, **count_blocks(model, text, before)}
    return compute_float32({**config, inner: changed} if inner else changed)


def count_blocks(model: CutModel, counts: Any, before: dict[str, Any]) -> dict[str, Any]:
    """Return what a config has to say of the blocks that are left.

    Args:
        model: The cut model.
        counts: transformers' config that counts them.
        before: The same as the original's config.json has it.
    """
    lists = [
        name for name, value in before.items() if isinstance(value, list) and len(value) == model.original_depth > 1
    ]
    if getattr(counts, "layer_types", None):  # made of other settings where the file does not name it
        lists.append("layer_types")
    count = counts.attribute_map.get("num_hidden_layers", "num_hidden_layers")
    return {count: model.depth, **{name: getattr(counts, name) for name in lists}}


def compute_float32(config: dict[str, Any]) -> dict[str, Any]:
    """Return a config that makes a model compute in float32 whatever its weights are stored in.

    In half of it, a cut gives other vectors than the layer.
    """
    return {**config, **dict.fromkeys(_DTYPES & config.keys() or ["dtype"], "float32")}


def _write_modules(model: CutModel, config: ModelConfig, folder: Path, finish: Finish) -> None:
    names = ["Transformer", "Pooling"]
    if finish.top:
        names += ["Normalize", *(module.type for module in finish.top), "Normalize"]
    elif config.normalizes:
        names.append("Normalize")
    paths = write_modules(folder, names)
    flags = {flag: name == finish.pooling for name, flag in _POOLING_FLAGS.items()}
    write_json(paths[1] / "config.json", {"word_embedding_dimension": model.width, **flags})
    for module, path in zip(finish.top, paths[3:], strict=False):
        module.write(path)
    sizes = {"max_seq_length": model.max_tokens, "do_lower_case": config.lower_case}
    write_json(folder / "sentence_bert_config.json", sizes)
    prompts = {"query": model.query_prompt, "document": model.document_prompt}
    write_json(folder / "config_sentence_transformers.json", {"prompts": prompts, "similarity_fn_name": "cosine"})


def write_modules(folder: Path, names: Sequence[str]) -> list[Path]:
    """Write modules.json and make a folder for every module but the first.

    Args:
        folder: The model's folder.
        names: Classes of the modules in order: sentence-transformers' own by their bare names.

    Returns:
        Folders of the modules; the first is the model's.
    """
    paths = ["", *(f"{i}_{name.rpartition('.')[2]}" for i, name in enumerate(names) if i)]
    types = [name if "." in name else f"sentence_transformers.models.{name}" for name in names]
    modules = [
        {"idx": i, "name": str(i), "path": path, "type": kind}
        for i, (kind, path) in enumerate(zip(types, paths, strict=True))
    ]
    write_json(folder / "modules.json", modules)
    for path in paths[1:]:
        (folder / path).mkdir()
    return [folder / path for path in paths]


def provenance(model: CutModel, pooling: str) -> dict[str, Any]:
    """Return what a model was cut from, as plain values."""
    return {
        "from": model.source.hub_id or str(model.source.folder),
        "revision": model.source.revision,
        "blocks": list(model.blocks),
        "original_depth": model.original_depth,
        "pooling": pooling,
    }


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON for people to read."""
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
