"""PEFT adapters (such as LoRA): an adapter's folder is merged into its base model."""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from probe.errors import ModelError, first_line
from probe.io.files import replace_folder
from probe.io.model_files import ADAPTER_CONFIG, file_set, find_transformer_part, read_object, weight_files
from probe.io.safetensors_files import check_weights
from probe.sources.beir_download import cache_folder

__all__ = ["has_adapter", "merge_adapter"]

_WEIGHTS = ("adapter_model.safetensors", "adapter_model.bin")
# These describe how sentence-transformers uses the base, so an adapter's folder does not need them.
_USES = ("modules.json", "config_sentence_transformers.json", "config.json", "sentence_")
_PROMPTS = ("PROMPT_TUNING", "PREFIX_TUNING", "P_TUNING", "MULTITASK_PROMPT_TUNING", "CPT")


def has_adapter(folder: Path) -> bool:
    """Return whether a folder's transformer is an adapter, with or without the weights of its base in the folder."""
    return (find_transformer_part(folder) / ADAPTER_CONFIG).is_file()


def merge_adapter(folder: Path, name: str, find_base: Callable[[str], Path]) -> Path:
    """Merge an adapter into its base and return the merged model's folder in the cache; repeated calls reuse it.

    Args:
        folder: Folder of the adapter.
        name: Name of the model in messages.
        find_base: Returns the folder of a base model from its path or hub id.

    Raises:
        ModelError: If peft is not installed, the base or the adapter's weights are missing, or they do not fit.
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
            f"'{name}' is a {kind} adapter, which adds learned vectors to the input: only adapters that change "
            "weights, such as LoRA, can be merged"
        )
    if find_spec("peft") is None:
        raise ModelError(f"'{name}' is a {kind} adapter: pip install 'encoder-surgery[lora]' to merge it into its base")
    if not any((part / weights).is_file() for weights in _WEIGHTS):
        raise ModelError(f"'{name}' is an adapter without weights: expected {_WEIGHTS[0]} in {part}")
    check_weights([part / weights for weights in _WEIGHTS if (part / weights).is_file()])


def _find_base(config: dict[str, Any], part: Path, *, name: str, find_base: Callable[[str], Path]) -> Path:
    base = str(config.get("base_model_name_or_path") or "")
    beside = part / base
    if not base:
        raise ModelError(f"'{name}' is an adapter without a base model: set base_model_name_or_path in its config")
    if not Path(base).is_dir() and beside.is_dir():
        return beside
    try:
        found = find_base(base)
    except Exception as error:  # the base may be a path of another machine, which fails in many ways
        raise ModelError(f"the base '{base}' of adapter '{name}' is unavailable: {first_line(error)}") from error
    return find_transformer_part(found)


def _fingerprint(folder: Path, base: Path) -> str:
    """Return a hash that changes when the path, size or time of a file of the adapter or its base changes."""
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
    # transformers would save the tensors under the names adapters use.
    save_model(model, str(inside / "model.safetensors"), metadata={"format": "pt"})
    model.config.save_pretrained(str(inside))
    _restore_config(base, inside)
    if not any((inside / file).is_file() for file in ("tokenizer_config.json", "tokenizer.json")):
        for path in file_set(base):
            if path.parent == base and not path.name.startswith(_USES):
                shutil.copyfile(path, inside / path.name)


def _restore_config(base: Path, inside: Path) -> None:
    """Save the merged model with the class of its base, which determines the default pooling."""
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
            raise ModelError(f"adapter '{name}' does not fit its base {base}: {wrong[0]} is missing or unexpected")
        _unwrap(model)
    except ModelError:
        raise
    except Exception as error:  # libraries raise many types on unexpected folders
        raise ModelError(
            f"adapter '{name}' does not fit its base {base}: {type(error).__name__}: {first_line(error)}"
        ) from error
    return model


@contextmanager
def _view(part: Path, base: Path) -> Iterator[Path]:
    """Yield a folder with the adapter's files whose config points to the base's actual folder."""
    with TemporaryDirectory() as scratch:
        view = Path(scratch)
        for path in part.glob("adapter_model.*"):
            (view / path.name).symlink_to(path.resolve())
        config = read_object(part / ADAPTER_CONFIG) | {"base_model_name_or_path": str(base.resolve())}
        (view / ADAPTER_CONFIG).write_text(json.dumps(config), encoding="utf-8")
        # An adapter saved with its base's weights may name the base's original location.
        if base == part:
            for path in [part / "config.json", *weight_files(part)]:
                if not (view / path.name).exists():
                    (view / path.name).symlink_to(path.resolve())
        yield view


def _unwrap(model: Any) -> None:
    """Merge every adapted module of a model, in place."""
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
