"""The files of a saved model, whatever kind it is: configs, weights, modules, and what it was cut from."""

import json
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from probe.errors import ModelError
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
    "write_json",
    "write_modules",
    "write_prompts",
    "write_weights",
]

PROVENANCE = "surgery.json"
_WEIGHTS = "model.safetensors"
# Names of the dtype a model computes in where nobody asks for one: today's, and the one before.
DTYPE_NAMES = {"dtype", "torch_dtype"}


def read_config(source: Path) -> dict[str, Any]:
    """Return the config.json of a folder."""
    config: dict[str, Any] = json.loads((source / "config.json").read_text("utf-8"))
    return config


def read_settings(source: Path, pattern: str) -> dict[str, Any]:
    """Return the first JSON object in a folder whose file matches, or an empty one."""
    found = sorted(source.glob(pattern))
    return json.loads(found[0].read_text("utf-8")) if found else {}


def copy_files(source: Path, folder: Path, patterns: Sequence[str]) -> None:
    """Copy what matches any of the patterns from one folder to another."""
    for path in sorted({path for pattern in patterns for path in source.glob(pattern)}):
        shutil.copyfile(path, folder / path.name)


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
    return {**config, **dict.fromkeys(DTYPE_NAMES & config.keys() or ["dtype"], "float32")}


def write_weights(model: CutModel, path: str, source: Path, *, out: Path) -> None:
    """Write the tensors a cut model keeps, byte for byte, under the names its config expects.

    Args:
        model: The cut model.
        path: Name of its block list, as the files have it.
        source: Folder of the original's weight files.
        out: Folder to write to.

    Raises:
        ModelError: The files name the blocks' tensors in a way of their own.
    """
    from safetensors.torch import save_file

    numbers = {block: index for index, block in enumerate(model.blocks)}
    pattern = re.compile(rf"(?P<head>(?:.*\.)?{re.escape(path)}\.)(?P<block>\d+)(?P<tail>\..+)")
    tensors: dict[str, Any] = {}
    seen: set[int] = set()
    for name, tensor in _read_tensors(source):
        part = pattern.fullmatch(name)
        if part is None:
            tensors[name] = tensor
            continue
        block = int(part["block"]) + 1
        seen.add(block)
        if block in numbers:
            tensors[f"{part['head']}{numbers[block]}{part['tail']}"] = tensor
    if seen != set(range(1, model.original_depth + 1)):
        raise ModelError(
            f"the weight files of '{model.source.name}' do not name their tensors {path}.0, ...: load the model "
            "with transformers, save it with save_pretrained, and cut that folder"
        )
    save_file(tensors, out / _WEIGHTS, metadata={"format": "pt"})


def _read_tensors(source: Path) -> Iterator[tuple[str, Any]]:
    from safetensors import safe_open

    whole = source / _WEIGHTS
    # Beside them there may be the same weights under names of other programs.
    for path in [whole] if whole.is_file() else sorted(source.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118
                yield name, file.get_tensor(name)


def write_modules(folder: Path, names: Sequence[str]) -> list[Path]:
    """Write modules.json and make a folder for every module but the first, whose folder is the model's.

    Classes are in order, sentence-transformers' own by their bare names. The folders are returned.
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
    """Write the model's prompts and its similarity as sentence-transformers reads them.

    Args:
        model: The model.
        folder: Its folder.
        own: Whether its vectors are the original's own, whose number of dimensions is cut as there.
        similarity: How its vectors are compared; as the original's when left out.
    """
    settings = read_settings(model.source.folder, "config_sentence_transformers.json")
    if not own:
        settings.pop("truncate_dim", None)
    prompts = {**(settings.get("prompts") or {}), "query": model.query_prompt, "document": model.document_prompt}
    changed = {**settings, "prompts": prompts, "similarity_fn_name": similarity or model.similarity}
    write_json(folder / "config_sentence_transformers.json", changed)


def provenance(model: CutModel, pooling: str) -> dict[str, Any]:
    """Return what a model was cut from, as plain values."""
    return {
        "from": model.source.hub_id or str(model.source.folder.resolve()),
        **inherit(model.source),
        "revision": model.source.revision,
        "blocks": list(model.blocks),
        "original_depth": model.original_depth,
        "pooling": pooling,
    }


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON for people to read."""
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
