"""Adapters of PEFT (LoRA and its kin): a folder that holds one becomes the model that it makes of its base."""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from probe.data.beir_download import cache_folder
from probe.errors import ModelError, first_line
from probe.io.files import replace_folder
from probe.io.model_files import ADAPTER_CONFIG, file_set, find_transformer_part, read_object, weight_files
from probe.io.safetensors_files import check_weights

__all__ = ["has_adapter", "merge_adapter"]

_WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")
# Of a base they say how sentence-transformers uses the base, not what an adapter's folder asks for.
_USES = ("modules.json", "config_sentence_transformers.json", "config.json", "sentence_")
_PROMPTS = ("PROMPT_TUNING", "PREFIX_TUNING", "P_TUNING", "MULTITASK_PROMPT_TUNING", "CPT")


def has_adapter(folder: Path) -> bool:
    """Return whether a folder's transformer is an adapter, with or without the weights of its base beside it."""
    return (find_transformer_part(folder) / ADAPTER_CONFIG).is_file()


def merge_adapter(folder: Path, name: str, find_base: Callable[[str], Path]) -> Path:
    """Return a folder of the model that an adapter makes of its base, in the cache folder; it is merged only once.

    Args:
        folder: The model's folder.
        name: What the user calls it.
        find_base: Returns the folder of a base by its path or its name on the hub.

    Raises:
        ModelError: peft is not installed, the base or the adapter's weights are missing, or they do not fit.
    """
    part = find_transformer_part(folder)
    config = read_object(part / ADAPTER_CONFIG)
    _check(config, part, name)
    base = part if (part / "config.json").is_file() else _find_base(config, part, name=name, find_base=find_base)
    merged = cache_folder() / "merged" / _fingerprint(folder, base)
    if not merged.is_dir():
        replace_folder(merged, lambda out: _write(folder, part, base=base, out=out, name=name))
    return merged


def _check(config: dict[str, Any], part: Path, name: str) -> None:
    kind = str(config.get("peft_type", "LORA"))
    if kind in _PROMPTS:
        raise ModelError(
            f"'{name}' is an adapter of the type {kind}, which puts learned vectors before every text: only those "
            "that change weights, as LoRA does, can be merged"
        )
    if find_spec("peft") is None:
        raise ModelError(f"'{name}' is a {kind} adapter: pip install 'encoder-surgery[lora]' to merge it into its base")
    if not any((part / weights).is_file() for weights in _WEIGHTS):
        raise ModelError(f"'{name}' names an adapter without its weights: expected {_WEIGHTS[0]} in {part}")
    check_weights([part / weights for weights in _WEIGHTS if (part / weights).is_file()])


def _find_base(config: dict[str, Any], part: Path, *, name: str, find_base: Callable[[str], Path]) -> Path:
    base = str(config.get("base_model_name_or_path") or "")
    beside = part / base
    if not base:
        raise ModelError(f"'{name}' is an adapter that names no base model: set base_model_name_or_path in its config")
    if not Path(base).is_dir() and beside.is_dir():
        return beside
    try:
        found = find_base(base)
    except Exception as error:  # whatever the search makes of a foreign machine's path
        raise ModelError(f"'{name}' is an adapter of '{base}', which cannot be had: {first_line(error)}") from error
    return find_transformer_part(found)


def _fingerprint(folder: Path, base: Path) -> str:
    """Return what is another one when a file of the adapter or of its base is: its path, size or time."""
    files = [*file_set(folder), *weight_files(folder), *file_set(base), *weight_files(base)]
    facts = [(str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]


def _write(folder: Path, part: Path, *, base: Path, out: Path, name: str) -> None:
    from safetensors.torch import save_model

    shutil.copytree(folder, out, dirs_exist_ok=True, ignore=shutil.ignore_patterns("adapter_*", ".*", "checkpoint-*"))
    inside = out / part.relative_to(folder)
    inside.mkdir(parents=True, exist_ok=True)
    for path in inside.glob("*.safetensors*"):
        path.unlink()
    model = _merge(part, base, name)
    # transformers would give the tensors back the names that adapters have for them.
    save_model(model, str(inside / "model.safetensors"), metadata={"format": "pt"})
    model.config.save_pretrained(str(inside))
    _restore_config(base, inside)
    if not any((inside / file).is_file() for file in ("tokenizer_config.json", "tokenizer.json")):
        for path in file_set(base):
            if path.parent == base and not path.name.startswith(_USES):
                shutil.copyfile(path, inside / path.name)


def _restore_config(base: Path, inside: Path) -> None:
    """Let the merged model be of the class that its base was saved as: its default pooling depends on that."""
    written, before = read_object(inside / "config.json"), read_object(base / "config.json")
    kept = {key: before[key] for key in ("architectures", "auto_map") if key in before}
    (inside / "config.json").write_text(json.dumps(written | kept, indent=2), encoding="utf-8")


def _merge(part: Path, base: Path, name: str) -> Any:
    import torch
    from transformers import AutoModel

    options: dict[str, Any] = {"dtype": torch.float32, "use_safetensors": True, "output_loading_info": True}
    try:
        with _view(part, base) as view:
            model, report = AutoModel.from_pretrained(str(view), **options)
        wrong = sorted({*report["missing_keys"], *report["unexpected_keys"]})
        if any("lora" in key or "adapter" in key or "base_layer" in key for key in wrong):
            raise ModelError(
                f"'{name}' is an adapter that does not fit its base {base}: it has no {wrong[0]}, or no use for it"
            )
        _unwrap(model)
    except ModelError:
        raise
    except Exception as error:  # whatever a foreign folder makes the libraries raise
        raise ModelError(
            f"'{name}' is an adapter that does not fit its base {base}: {type(error).__name__}: {first_line(error)}"
        ) from error
    return model


@contextmanager
def _view(part: Path, base: Path) -> Iterator[Path]:
    """Give a folder with the adapter's files whose config names the base by where it is."""
    with TemporaryDirectory() as scratch:
        view = Path(scratch)
        for path in part.glob("adapter_model.*"):
            (view / path.name).symlink_to(path.resolve())
        config = read_object(part / ADAPTER_CONFIG) | {"base_model_name_or_path": str(base.resolve())}
        (view / ADAPTER_CONFIG).write_text(json.dumps(config), encoding="utf-8")
        # Beside the weights of its base an adapter's config may name where they came from.
        if base == part:
            for path in [part / "config.json", *weight_files(part)]:
                if not (view / path.name).exists():
                    (view / path.name).symlink_to(path.resolve())
        yield view


def _unwrap(model: Any) -> None:
    """Merge every adapted module of a model into what it adapts, in place."""
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils.other import ModulesToSaveWrapper

    for path, module in list(model.named_modules()):
        parent, _, child = path.rpartition(".")
        if isinstance(module, BaseTunerLayer):
            module.merge(safe_merge=True)
            model.get_submodule(parent)._modules[child] = module.get_base_layer()
        elif isinstance(module, ModulesToSaveWrapper):
            model.get_submodule(parent)._modules[child] = module.modules_to_save[str(module.active_adapters[0])]
    model._hf_peft_config_loaded = False
    if hasattr(model, "peft_config"):
        del model.peft_config
