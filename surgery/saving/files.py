"""The files common to all saved models: configs, weights, modules.json and provenance."""

import copy
import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from probe.errors import ModelError, first_line
from surgery.cutting.blocks import CutModel
from surgery.saving.origin import inherit

__all__ = [
    "DTYPE_NAMES",
    "PROVENANCE",
    "compute_float32",
    "copy_files",
    "count_blocks",
    "provenance",
    "read_config",
    "read_settings",
    "read_tensors",
    "write_json",
    "write_modules",
    "write_prompts",
    "write_weights",
]

PROVENANCE = "surgery.json"
_WEIGHTS = "model.safetensors"
# Config names of the default compute dtype: the current one and its predecessor.
DTYPE_NAMES = {"dtype", "torch_dtype"}


def read_config(source: Path) -> dict[str, Any]:
    """Return the config.json of a folder."""
    config: dict[str, Any] = json.loads((source / "config.json").read_text("utf-8"))
    return config


def read_settings(source: Path, pattern: str) -> dict[str, Any]:
    """Return the JSON object of the first matching file in a folder, or an empty one."""
    found = sorted(source.glob(pattern))
    return json.loads(found[0].read_text("utf-8")) if found else {}


def copy_files(source: Path, folder: Path, patterns: Sequence[str]) -> None:
    """Copy the files that match any of the patterns from one folder to another."""
    for path in sorted({path for pattern in patterns for path in source.glob(pattern)}):
        shutil.copyfile(path, folder / path.name)


def count_blocks(model: CutModel, counts: Any, before: dict[str, Any]) -> dict[str, Any]:
    """Return the config values that describe the remaining blocks.

    Args:
        model: The cut model.
        counts: The transformers config that counts the blocks.
        before: The same config in the original's config.json.
    """
    aliases = {alias: name for alias, name in counts.attribute_map.items() if alias in before}
    changes = model.config_changes
    return {**changes, **{alias: changes[name] for alias, name in aliases.items() if name in changes}}


def compute_float32(config: dict[str, Any]) -> dict[str, Any]:
    """Return a config that makes a model compute in float32, whatever dtype its weights are stored in.

    In half precision, a cut would not give the vectors of the layer.
    """
    return {**config, **dict.fromkeys(DTYPE_NAMES & config.keys() or ["dtype"], "float32")}


def write_weights(model: CutModel, path: str, source: Path, *, out: Path) -> None:
    """Write the remaining tensors, byte for byte, under the names the config expects.

    If the original files use other tensor names, which transformers converts on loading, transformers converts the
    cut model's tensors back.

    Args:
        model: The cut model.
        path: Name of its block list in the module.
        source: Folder of the original's weight files.
        out: Folder to write to.

    Raises:
        ModelError: transformers cannot convert the names back.
    """
    from safetensors.torch import save_file

    names = [name for name, _ in read_tensors(source)]
    head = _find_head(model, path, names)
    tensors = _convert_back(model, source) if head is None else _pick_tensors(model, f"{head}{path}.", source)
    left_out = {f"{head or ''}{name}" for name in model.left_out}
    save_file({n: t for n, t in tensors.items() if n not in left_out}, out / _WEIGHTS, metadata={"format": "pt"})


def _find_head(model: CutModel, path: str, names: Sequence[str]) -> str | None:
    """Return the prefix of the block list in the files' tensor names, or None unless exactly one list matches."""
    pattern = re.compile(rf"(?P<head>(?:.*\.)?){re.escape(path)}\.(?P<block>\d+)\.(?P<tail>.+)")
    found: dict[str, dict[int, set[str]]] = {}
    for name in names:
        part = pattern.fullmatch(name)
        if part:
            found.setdefault(part["head"], {}).setdefault(int(part["block"]), set()).add(part["tail"])
    whole = [head for head, blocks in found.items() if blocks.keys() == set(range(model.original_depth))]
    if len(whole) > 1:
        # An encoder's and a decoder's blocks: their tensors differ.
        first = {name.removeprefix(f"{path}.0.") for name in model.module.state_dict() if name.startswith(f"{path}.0.")}
        whole = [head for head in whole if found[head][model.blocks[0] - 1] == first]
    return whole[0] if len(whole) == 1 else None


def _pick_tensors(model: CutModel, prefix: str, source: Path) -> dict[str, Any]:
    """Return the files' tensors without those of removed blocks; the remaining blocks are renumbered."""
    numbers = {str(block - 1): str(index) for index, block in enumerate(model.blocks)}
    tensors: dict[str, Any] = {}
    for name, tensor in read_tensors(source):
        if not name.startswith(prefix):
            tensors[name] = tensor
            continue
        block, _, tail = name.removeprefix(prefix).partition(".")
        if block in numbers:
            tensors[f"{prefix}{numbers[block]}.{tail}"] = tensor
    return tensors


def _convert_back(model: CutModel, source: Path) -> dict[str, Any]:
    """Return a cut model's tensors as transformers saves them, in the files' dtype if that loses no precision."""
    module: Any = model.module
    given = {name: tensor.detach().cpu() for name, tensor in module.state_dict().items() if name not in model.left_out}
    with tempfile.TemporaryDirectory() as scratch:
        try:
            copy.copy(module).save_pretrained(scratch, state_dict=given)
        except Exception as error:  # third-party model code may raise anything
            raise ModelError(
                f"transformers cannot save the cut of '{model.source.name}': {type(error).__name__}: "
                f"{first_line(error)}"
            ) from error
        saved = dict(read_tensors(Path(scratch)))
    stored = {tensor.dtype for _, tensor in read_tensors(source) if tensor.is_floating_point()}
    return {name: _as_stored(tensor, stored) for name, tensor in saved.items()}


def _as_stored(tensor: Any, dtypes: set[Any]) -> Any:
    if len(dtypes) != 1 or not tensor.is_floating_point():
        return tensor
    narrow = tensor.to(next(iter(dtypes)))
    return narrow if narrow.to(tensor.dtype).equal(tensor) else tensor


def read_tensors(source: Path) -> Iterator[tuple[str, Any]]:
    """Yield the names and tensors of a folder's weight files."""
    from safetensors import safe_open

    whole = source / _WEIGHTS
    # The folder may hold the same weights again, in files of other programs.
    for path in [whole] if whole.is_file() else sorted(source.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118
                yield name, file.get_tensor(name)


def write_modules(folder: Path, names: Sequence[str]) -> list[Path]:
    """Write modules.json and make a folder for every module but the first, which uses the model's own folder.

    Args:
        folder: The model's folder.
        names: Module classes in order; those of sentence-transformers by their bare names.

    Returns:
        The folders of the modules.
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


def write_prompts(model: CutModel, folder: Path, *, own: bool = False, similarity: str | None = None) -> None:
    """Write the model's prompts and similarity function for sentence-transformers.

    Args:
        model: The model.
        folder: Its folder.
        own: Whether the original's own pooling and modules are kept; its `truncate_dim` is kept only then.
        similarity: Similarity function; default: the original's.
    """
    settings = read_settings(model.source.folder, "config_sentence_transformers.json")
    if not own:
        settings.pop("truncate_dim", None)
    prompts = {**(settings.get("prompts") or {}), "query": model.query_prompt, "document": model.document_prompt}
    changed = {**settings, "prompts": prompts, "similarity_fn_name": similarity or model.similarity}
    write_json(folder / "config_sentence_transformers.json", changed)


def provenance(model: CutModel, pooling: str) -> dict[str, Any]:
    """Return the origin of a cut model as plain values."""
    return {
        "from": model.source.hub_id or str(model.source.folder.resolve()),
        **inherit(model.source),
        "revision": model.source.revision,
        "blocks": list(model.blocks),
        "original_depth": model.original_depth,
        "pooling": pooling,
    }


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON."""
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
