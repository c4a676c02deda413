"""The modules of a folder as sentence-transformers wrote them before 5.4, the form that other servers read.

Since 5.4, modules.json has other class paths, and a pooling has one name instead of a flag per name. Newer versions
read the earlier form, too.
"""

import json
from pathlib import Path
from typing import Any

from surgery.saving.files import read_settings, write_json

__all__ = ["POOLING_FLAGS", "write_old_form"]

# Flag of each pooling, by its name in sentence-transformers, in the order in which several are concatenated.
POOLING_FLAGS = {
    "cls": "pooling_mode_cls_token",
    "max": "pooling_mode_max_tokens",
    "mean": "pooling_mode_mean_tokens",
    "mean_sqrt_len_tokens": "pooling_mode_mean_sqrt_len_tokens",
    "weightedmean": "pooling_mode_weightedmean_tokens",
    "lasttoken": "pooling_mode_lasttoken",
}
_MODULES, _CONFIG = "modules.json", "config.json"
_DENSE = {"in_features", "out_features", "bias", "activation_function"}
_FEATURES = {"module_input_name", "module_output_name"}


def write_old_form(folder: Path) -> None:
    """Rewrite a folder's modules in the earlier form; those that use newer options are left as they are."""
    entries: list[dict[str, Any]] = json.loads((folder / _MODULES).read_text(encoding="utf-8"))
    for entry in entries:
        package, _, name = entry["type"].rpartition(".")
        if package.startswith("sentence_transformers") and _fits(name, folder / entry["path"]):
            entry["type"] = f"sentence_transformers.models.{name}"
    write_json(folder / _MODULES, entries)


def _fits(name: str, part: Path) -> bool:
    """Return whether a module can have the earlier form; the config of a pooling gets it."""
    settings = read_settings(part, _CONFIG)
    match name:
        case "Transformer" | "LayerNorm":
            return True
        case "Normalize":
            return all(settings.get(key) in (None, "sentence_embedding") for key in _FEATURES)
        case "Dense":
            return settings.keys() <= _DENSE
        case "Pooling":
            return _rewrite_pooling(settings, part)
        case _:
            return False


def _rewrite_pooling(settings: dict[str, Any], part: Path) -> bool:
    names = settings.pop("pooling_mode", None)
    if names is None:
        return True
    chosen = [names] if isinstance(names, str) else [*names]
    # The flags have no order: the poolings follow each other as below.
    if chosen != [name for name in POOLING_FLAGS if name in chosen]:
        return False
    width = settings.pop("embedding_dimension", None) or settings.pop("word_embedding_dimension")
    flags = {flag: name in chosen for name, flag in POOLING_FLAGS.items()}
    write_json(part / _CONFIG, {"word_embedding_dimension": width, **flags, **settings})
    return True
