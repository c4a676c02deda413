"""The files of a model's folder that decide its vectors: its modules, and what its key in the store is made of."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from probe.errors import ModelError
from probe.io.hub import CODE, find_snapshot
from probe.io.safetensors_files import check_pointer, list_weights

__all__ = [
    "ADAPTER_CONFIG",
    "SavedModule",
    "code_repositories",
    "file_set",
    "find_transformer_part",
    "list_modules",
    "read_modules",
    "read_object",
    "weight_files",
]

ADAPTER_CONFIG = "adapter_config.json"
_ADAPTER_WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")
_ROUTER_CONFIGS = ("router_config.json", "config.json")
_ROUTERS = ("Router", "Asym")

# What lies in models' folders and no vector depends on: words, other programs' weights, what trainings leave behind.
_WORDS = ("readme", "license", "licence", "notice", "citation", "changelog", "usage", "modelcard", "model_card")
_NEEDLESS_SUFFIXES = """
    .md .rst .html .pdf .png .jpg .jpeg .gif .svg .webp .csv .tsv .parquet .log .onnx .onnx_data .xml .gguf
    .ggml .h5 .msgpack .ot .pt .pth .ckpt .pkl .pickle .npz .zip .gz .tar .tflite .mlmodel .lock .safetensors
    .bin .sh .yaml .yml .ipynb .patch
"""
_NEEDLESS_NAMES = """
    trainer_state.json training_args.json all_results.json train_results.json eval_results.json
    generation_config.json requirements.txt surgery.json learned.json
"""
# Folders beside the modules' own that a tokenizer reads.
_TEMPLATES = "additional_chat_templates"


@dataclass(frozen=True)
class SavedModule:
    """A module that a folder names.

    Attributes:
        type: Its class, as written.
        folder: Where its files are.
        path: The same inside the model's folder; empty for the model's own.
    """

    type: str
    folder: Path
    path: str

    @property
    def name(self) -> str:
        """The class's bare name."""
        return self.type.rpartition(".")[2]

    @property
    def of_package(self) -> bool:
        """Whether it is a class of this package, which `adaptors` opens."""
        return self.type.startswith(("adaptors.", "surgery."))


def read_modules(folder: Path) -> tuple[SavedModule, ...]:
    """Return the modules that a folder's modules.json names; none where there is no such file.

    Raises:
        ModelError: modules.json is malformed, or names nothing.
    """
    path = folder / "modules.json"
    if not path.is_file():
        return ()
    entries = _read_json(path)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ModelError(f"{path} is malformed: expected a list of modules, each with its type and its path")
    if not entries:
        raise ModelError(
            f"{path} names no modules: expected a transformer first; without the file mean pooling is used"
        )
    return tuple(_module(folder, str(entry.get("type", "")), str(entry.get("path", ""))) for entry in entries)


def list_modules(folder: Path) -> tuple[SavedModule, ...]:
    """Return the modules that a folder's modules.json names, routers followed by those of their routes.

    Raises:
        ModelError: modules.json or a router's config is malformed.
    """
    return tuple(inner for module in read_modules(folder) for inner in _with_routes(folder, module))


def _module(folder: Path, kind: str, path: str) -> SavedModule:
    if Path(path).is_absolute() or ".." in Path(path).parts:
        raise ModelError(f"{folder / 'modules.json'} names the path '{path}': expected one inside the folder")
    return SavedModule(kind, folder / path, path)


def _with_routes(folder: Path, module: SavedModule) -> Iterator[SavedModule]:
    yield module
    if module.name not in _ROUTERS:
        return
    config = next((found for name in _ROUTER_CONFIGS if (found := read_object(module.folder / name))), {})
    types = config.get("types")
    for inner, inner_kind in (types if isinstance(types, dict) else {}).items():
        yield from _with_routes(folder, _module(folder, str(inner_kind), str(Path(module.path, inner))))


def read_object(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file; an empty one where there is no file.

    Raises:
        ModelError: The file holds something else.
    """
    if not path.is_file():
        return {}
    value = _read_json(path)
    if not isinstance(value, dict):
        raise ModelError(f"{path} is malformed: expected a JSON object")
    return value


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        check_pointer(path)
        raise ModelError(f"{path} is malformed: {error}") from error


def find_transformer_part(folder: Path) -> Path:
    """Return the folder of the first module, which is the model's own where modules.json names none."""
    modules = read_modules(folder)
    return modules[0].folder if modules else folder


def file_set(folder: Path) -> list[Path]:
    """Return every file but the weights that can change a vector of the model in a folder.

    Configs, tokenizers and vocabularies under whatever name, chat templates, modules' folders, code of the folder and
    of the repositories it names, an adapter's config; for a hash, in a fixed order.

    Raises:
        ModelError: A file that says what there is is malformed.
    """
    inside = {path for part in _parts(folder) for path in part.iterdir() if _can_matter(path)}
    inside |= {path for path in folder.rglob("*.py") if not _is_hidden(path, folder)}
    code = [path for other in code_repositories(folder) for path in _cached_code(other)]
    return [*sorted(inside), *code]


def weight_files(folder: Path) -> list[Path]:
    """Return the files that hold the weights of the model in a folder: of its modules, and of an adapter on them.

    Raises:
        ModelError: A file that says what there is is malformed.
    """
    return list(dict.fromkeys(path for part in _module_folders(folder) for path in _weights_of(part, folder)))


def _weights_of(part: Path, folder: Path) -> list[Path]:
    adapter = [part / name for name in _ADAPTER_WEIGHTS if (part / name).is_file()][:1]
    weights = list_weights(part)
    # The pickles of a transformer are never opened, those of a module after it are, with weights alone.
    if not weights and part != folder and (part / "pytorch_model.bin").is_file():
        weights = [part / "pytorch_model.bin"]
    return [*weights, *adapter]


def _module_folders(folder: Path) -> list[Path]:
    return list(dict.fromkeys([folder, *(module.folder for module in list_modules(folder) if module.folder.is_dir())]))


def _parts(folder: Path) -> list[Path]:
    """Return every folder whose own files are read: the model's, its modules', and those of chat templates."""
    parts = _module_folders(folder)
    return [*parts, *(templates for part in parts if (templates := part / _TEMPLATES).is_dir())]


def _can_matter(path: Path) -> bool:
    name = path.name.lower()
    return (
        path.is_file()
        and not name.startswith((".", *_WORDS))
        and name not in _NEEDLESS_NAMES.split()
        and path.suffix.lower() not in _NEEDLESS_SUFFIXES.split()
        and not name.endswith(".index.json")
    )


def _is_hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith((".", "__")) for part in path.relative_to(folder).parts[:-1])


def code_repositories(folder: Path) -> tuple[str, ...]:
    """Return the hub's repositories whose code a folder asks for beside its own ("owner/other--file.Class")."""
    names = set()
    for part in _module_folders(folder):
        for file in ("config.json", "tokenizer_config.json", "processor_config.json", "preprocessor_config.json"):
            names |= set(_code_of(read_object(part / file).get("auto_map")))
    return tuple(sorted(names))


def _code_of(value: Any) -> Iterator[str]:
    """Yield the repositories in the values of an `auto_map`, which may be lists."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from _code_of(one)
    elif isinstance(value, str) and "--" in value:
        yield value.split("--")[0]


def _cached_code(hub_id: str) -> list[Path]:
    snapshot = find_snapshot(hub_id, wanted=CODE)
    return sorted(snapshot.rglob("*.py")) if snapshot else []
