"""The files of a model folder that determine its vectors: its modules, and the input of its store key."""

import ast
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from probe.errors import ModelError
from probe.io.hub import CODE, find_snapshot
from probe.io.safetensors_files import check_pointer, list_weights

__all__ = [
    "ADAPTER_CONFIG",
    "Route",
    "SavedModule",
    "code_repositories",
    "file_set",
    "find_transformer_part",
    "list_modules",
    "read_modules",
    "read_object",
    "read_routes",
    "weight_files",
]

ADAPTER_CONFIG = "adapter_config.json"
_ADAPTER_WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")
_ROUTER_CONFIGS = ("router_config.json", "config.json")
_ROUTERS = ("Router", "Asym")
_SIDES = ("query", "document")

# Files of model folders that no vector depends on: texts, weights of other frameworks, leftovers of training.
_WORDS = ("readme", "license", "licence", "notice", "citation", "changelog", "usage", "modelcard", "model_card")
_NEEDLESS_SUFFIXES = """
    .md .rst .html .pdf .png .jpg .jpeg .gif .svg .webp .csv .tsv .parquet .log .onnx .onnx_data .xml .gguf
    .ggml .h5 .msgpack .ot .pt .pth .ckpt .pkl .pickle .npz .zip .gz .tar .tflite .mlmodel .lock .safetensors
    .bin .sh .yaml .yml .ipynb .patch
"""
_NEEDLESS_NAMES = """
    trainer_state.json training_args.json all_results.json train_results.json eval_results.json
    generation_config.json requirements.txt surgery.json learned.json data_config.json
"""
# Folders outside the modules that tokenizers read.
_TEMPLATES = "additional_chat_templates"


@dataclass(frozen=True)
class SavedModule:
    """An entry of modules.json.

    Attributes:
        type: Class path, as written.
        folder: Folder of its files.
        path: The same, relative to the model's folder; empty for the model's folder itself.
    """

    type: str
    folder: Path
    path: str

    @property
    def name(self) -> str:
        """Return the class name without its package."""
        return self.type.rpartition(".")[2]

    @property
    def of_package(self) -> bool:
        """Return whether the class belongs to this package (loaded by `adaptors`)."""
        return self.type.startswith(("adaptors.", "surgery."))


@dataclass(frozen=True)
class Route:
    """A route of a router.

    Attributes:
        name: Its name in the router.
        modules: The modules its texts pass through: its own, and those after the router.
    """

    name: str
    modules: tuple[SavedModule, ...]


def read_modules(folder: Path) -> tuple[SavedModule, ...]:
    """Return the modules listed in a folder's modules.json; empty if there is no such file.

    Raises:
        ModelError: If modules.json is malformed or lists no modules.
    """
    path = folder / "modules.json"
    if not path.is_file():
        return ()
    entries = _read_json(path)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ModelError(f"{path} is malformed: expected a list of modules, each with a type and a path")
    if not entries:
        raise ModelError(
            f"{path} lists no modules: expected a transformer first; without the file, mean pooling is used"
        )
    return tuple(_module(folder, str(entry.get("type", "")), str(entry.get("path", ""))) for entry in entries)


def list_modules(folder: Path) -> tuple[SavedModule, ...]:
    """Return the modules listed in modules.json; routers are followed by the modules of their routes.

    Raises:
        ModelError: If modules.json or a router's config is malformed.
    """
    return tuple(inner for module in read_modules(folder) for inner in _with_routes(folder, module))


def _module(folder: Path, kind: str, path: str) -> SavedModule:
    if Path(path).is_absolute() or ".." in Path(path).parts:
        raise ModelError(f"{folder / 'modules.json'} has the path '{path}': expected a path inside the folder")
    return SavedModule(kind, folder / path, path)


def _with_routes(folder: Path, module: SavedModule) -> Iterator[SavedModule]:
    yield module
    if module.name not in _ROUTERS:
        return
    for inner, inner_kind in _dict_of(_router_config(module), "types").items():
        yield from _with_routes(folder, _module(folder, str(inner_kind), str(Path(module.path, inner))))


def _router_config(router: SavedModule) -> dict[str, Any]:
    return next((found for name in _ROUTER_CONFIGS if (found := read_object(router.folder / name))), {})


def _dict_of(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = config.get(name)
    return value if isinstance(value, dict) else {}


def read_routes(folder: Path) -> dict[str, Route]:
    """Return the routes of a router's queries and documents, as `query` and `document`.

    Empty if the folder does not begin with a router, if both take the same route or one takes none, and for routers
    inside routers; sentence-transformers reads those as a whole.

    Raises:
        ModelError: If modules.json or the router's config is malformed.
    """
    modules = read_modules(folder)
    if not modules or modules[0].name not in _ROUTERS:
        return {}
    config, (router, *later) = _router_config(modules[0]), modules
    types, structure = _dict_of(config, "types"), _dict_of(config, "structure")
    mappings = _read_mappings(_dict_of(_dict_of(config, "parameters"), "route_mappings"))
    names = {side: _pick_route(side, structure, mappings) for side in _SIDES}
    found = {
        side: Route(name, (*_route_modules(folder, router, structure.get(name), types=types), *later))
        for side, name in names.items()
    }
    inner = [module for route in found.values() for module in route.modules]
    apart = names["query"] != names["document"] and all(len(route.modules) > len(later) for route in found.values())
    return found if apart and not any(module.name in _ROUTERS for module in inner) else {}


def _read_mappings(mappings: Mapping[str, Any]) -> dict[Any, str]:
    """Return a router's mappings by (task, modality), which its config has as text."""
    found: dict[Any, str] = {}
    for key, name in mappings.items():
        with suppress(ValueError, SyntaxError, TypeError):  # sentence-transformers ignores what it cannot read
            found[ast.literal_eval(key)] = str(name)
    return found


def _pick_route(side: str, structure: Mapping[str, Any], mappings: Mapping[Any, str]) -> str:
    """Return the name of the route that sentence-transformers picks for texts of a side; empty if there is none."""
    keys = ((side, "text"), (side, None), (None, "text"), (None, None))
    mapped = next((mappings[key] for key in keys if key in mappings), None)
    return mapped or next((name for name in (side, "text") if name in structure), "")


def _route_modules(
    folder: Path, router: SavedModule, names: Any, *, types: Mapping[str, Any]
) -> tuple[SavedModule, ...]:
    listed = [str(name) for name in names] if isinstance(names, list) else []
    return tuple(_module(folder, str(types.get(name, "")), str(Path(router.path, name))) for name in listed)


def read_object(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file; empty if there is no file.

    Raises:
        ModelError: If the file does not hold a JSON object.
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
    """Return the folder of the first module, or the model's own folder without modules.json."""
    modules = read_modules(folder)
    return modules[0].folder if modules else folder


def file_set(folder: Path) -> list[Path]:
    """Return all files except weights that can change the model's vectors, in a fixed order for hashing.

    These are configs, tokenizers and vocabularies under any name, chat templates, module folders, an adapter's
     config, and code in the folder and in the repositories it refers to.

    Raises:
        ModelError: If a config file is malformed.
    """
    inside = {path for part in _parts(folder) for path in part.iterdir() if _can_matter(path)}
    inside |= {path for path in folder.rglob("*.py") if not _is_hidden(path, folder)}
    code = [path for other in code_repositories(folder) for path in _cached_code(other)]
    return [*sorted(inside), *code]


def weight_files(folder: Path, modules: Sequence[SavedModule] | None = None) -> list[Path]:
    """Return the weight files of the model's modules and of an adapter on top of them; or of some of its modules.

    Raises:
        ModelError: If a config file is malformed.
    """
    parts = _module_folders(folder) if modules is None else [module.folder for module in modules]
    return list(dict.fromkeys(path for part in parts for path in _weights_of(part, folder)))


def _weights_of(part: Path, folder: Path) -> list[Path]:
    adapter = [part / name for name in _ADAPTER_WEIGHTS if (part / name).is_file()][:1]
    weights = list_weights(part)
    # A transformer's pickles are never loaded; those of later modules are, with weights_only.
    if not weights and part != folder and (part / "pytorch_model.bin").is_file():
        weights = [part / "pytorch_model.bin"]
    return [*weights, *adapter]


def _module_folders(folder: Path) -> list[Path]:
    return list(dict.fromkeys([folder, *(module.folder for module in list_modules(folder) if module.folder.is_dir())]))


def _parts(folder: Path) -> list[Path]:
    """Return all folders whose files are read: the model's, its modules', and chat template folders."""
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
    """Return the hub repositories whose code a folder refers to ("owner/other--file.Class")."""
    names = set()
    for part in _module_folders(folder):
        for file in ("config.json", "tokenizer_config.json", "processor_config.json", "preprocessor_config.json"):
            names |= set(_code_of(read_object(part / file).get("auto_map")))
    return tuple(sorted(names))


def _code_of(value: Any) -> Iterator[str]:
    """Yield the repositories in the values of an `auto_map`, which may be nested lists."""
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
