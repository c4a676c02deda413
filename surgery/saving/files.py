"""The files of a saved model, whatever kind it is: configs, weights, modules, and what it was cut from."""

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
    aliases = {alias: name for alias, name in counts.attribute_map.items() if alias in before}
    changes = model.config_changes
    return {**changes, **{alias: changes[name] for alias, name in aliases.items() if name in changes}}


def compute_float32(config: dict[str, Any]) -> dict[str, Any]:
    """Return a config that makes a model compute in float32 whatever its weights are stored in.

    In half of it, a cut gives other vectors than the layer.
    """
    return {**config, **dict.fromkeys(DTYPE_NAMES & config.keys() or ["dtype"], "float32")}


def write_weights(model: CutModel, path: str, source: Path, *, out: Path) -> None:
    """Write the tensors a cut model keeps, byte for byte, under the names its config expects.

    Where the files name the blocks' tensors in a way of their own, and transformers converts them when it loads them,
    it converts the cut model's tensors back.

    Args:
        model: The cut model.
        path: Name of its block list, as the module has it.
        source: Folder of the original's weight files.
        out: Folder to write to.

    Raises:
        ModelError: The files name them in a way that transformers cannot give back.
    """
    from safetensors.torch import save_file

    names = [name for name, _ in _read_tensors(source)]
    head = _find_head(model, path, names)
    tensors = _convert_back(model, source) if head is None else _pick_tensors(model, f"{head}{path}.", source)
    left_out = {f"{head or ''}{name}" for name in model.left_out}
    save_file({n: t for n, t in tensors.items() if n not in left_out}, out / _WEIGHTS, metadata={"format": "pt"})


def _find_head(model: CutModel, path: str, names: Sequence[str]) -> str | None:
    """Return what stands before the block list in the files' names: one list there has the module's blocks."""
    pattern = re.compile(rf"(?P<head>(?:.*\.)?){re.escape(path)}\.(?P<block>\d+)\.(?P<tail>.+)")
    found: dict[str, dict[int, set[str]]] = {}
    for name in names:
        part = pattern.fullmatch(name)
        if part:
            found.setdefault(part["head"], {}).setdefault(int(part["block"]), set()).add(part["tail"])
    whole = [head for head, blocks in found.items() if blocks.keys() == set(range(model.original_depth))]
    if len(whole) > 1:
        # A decoder's blocks beside the encoder's: they have tensors of their own.
        first = {name.removeprefix(f"{path}.0.") for name in model.module.state_dict() if name.startswith(f"{path}.0.")}
        whole = [head for head in whole if found[head][model.blocks[0] - 1] == first]
    return whole[0] if len(whole) == 1 else None


def _pick_tensors(model: CutModel, prefix: str, source: Path) -> dict[str, Any]:
    """Return the tensors of the files but those of the blocks that go, the others' renumbered."""
    numbers = {str(block - 1): str(index) for index, block in enumerate(model.blocks)}
    tensors: dict[str, Any] = {}
    for name, tensor in _read_tensors(source):
        if not name.startswith(prefix):
            tensors[name] = tensor
            continue
        block, _, tail = name.removeprefix(prefix).partition(".")
        if block in numbers:
            tensors[f"{prefix}{numbers[block]}.{tail}"] = tensor
    return tensors


def _convert_back(model: CutModel, source: Path) -> dict[str, Any]:
    """Return a cut model's own tensors as transformers saves them, in the files' dtype where no digit is lost."""
    module: Any = model.module
    given = {name: tensor.detach().cpu() for name, tensor in module.state_dict().items() if name not in model.left_out}
    with tempfile.TemporaryDirectory() as scratch:
        try:
            copy.copy(module).save_pretrained(scratch, state_dict=given)
        except Exception as error:  # whatever a foreign model raises
            raise ModelError(
                f"transformers cannot save the rest of '{model.source.name}': {type(error).__name__}: "
                f"{first_line(error)}"
            ) from error
        saved = dict(_read_tensors(Path(scratch)))
    stored = {tensor.dtype for _, tensor in _read_tensors(source) if tensor.is_floating_point()}
    return {name: _as_stored(tensor, stored) for name, tensor in saved.items()}


def _as_stored(tensor: Any, dtypes: set[Any]) -> Any:
    if len(dtypes) != 1 or not tensor.is_floating_point():
        return tensor
    narrow = tensor.to(next(iter(dtypes)))
    return narrow if narrow.to(tensor.dtype).equal(tensor) else tensor


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
