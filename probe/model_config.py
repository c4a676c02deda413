"""What a model's folder says about its use: pooling, prompts, longest input (sentence-transformers' files)."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from probe.errors import ModelError

__all__ = ["ModelConfig", "read_model_config"]

_POOLINGS = {"cls": "cls", "mean": "mean", "max": "max", "lasttoken": "last", "mean_sqrt_len_tokens": "mean"}
_LEGACY_FLAGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_KNOWN_MODULES = ("Transformer", "Pooling", "Normalize")


@dataclass(frozen=True)
class ModelConfig:
    """How a model's folder wants it to be used.

    Attributes:
        transformer: Folder of the transformer inside the model's.
        pooling: The model's own pooling, or None where it is none of ours.
        query_prompt: Put before every query.
        document_prompt: Put before every document.
        max_tokens: Longest input in tokens, or None where only the tokenizer knows.
        lower_case: Whether texts are lower-cased before tokenising.
        notes: What the folder asks for that a hookpoint leaves out; shown under every table.
    """

    transformer: Path
    pooling: str | None = "mean"
    query_prompt: str = ""
    document_prompt: str = ""
    max_tokens: int | None = None
    lower_case: bool = False
    notes: tuple[str, ...] = ()


def read_model_config(folder: Path) -> ModelConfig:
    """Read sentence-transformers' files of a model, or its defaults where there are none.

    Args:
        folder: The model's folder.

    Returns:
        The settings.

    Raises:
        ModelError: One of the files is malformed.
    """
    modules = _read_json(folder / "modules.json", [])
    types = [str(module.get("type", "")).rpartition(".")[2] for module in modules]
    paths = [folder / str(module.get("path", "")) for module in modules]
    transformer = paths[0] if paths else folder
    pooling, pooling_note = _read_pooling(paths[types.index("Pooling")] if "Pooling" in types else None)
    sizes = _read_sizes(transformer)
    head = _read_json(folder / "config_sentence_transformers.json", {})
    prompts = head.get("prompts") or {}
    return ModelConfig(
        transformer,
        pooling,
        query_prompt=prompts.get("query") or "",
        document_prompt=next((prompts[n] for n in ("document", "passage", "corpus") if prompts.get(n)), ""),
        max_tokens=sizes.get("max_seq_length"),
        lower_case=bool(sizes.get("do_lower_case")),
        notes=(*pooling_note, *_note_modules(types), *_note_similarity(head)),
    )


def _read_json(path: Path, default: Any) -> Any:
    if not path.is_file():
        return default
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} is not readable JSON: {error}") from error
    if not isinstance(value, type(default)):
        raise ModelError(f"{path} holds a {type(value).__name__}, expected a {type(default).__name__}")
    return value


def _read_pooling(folder: Path | None) -> tuple[str | None, tuple[str, ...]]:
    if folder is None:
        return "mean", ("the folder names no pooling; mean is sentence-transformers' default",)
    config = _read_json(folder / "config.json", {})
    mode = config.get("pooling_mode") or [name for flag, name in _LEGACY_FLAGS.items() if config.get(flag)]
    modes = [mode] if isinstance(mode, str) else list(mode)
    own = _POOLINGS.get(modes[0]) if len(modes) == 1 else None
    notes = [] if own else [f"the model's own pooling ({'+'.join(modes) or 'none'}) is none of ours"]
    if config.get("include_prompt") is False:
        notes.append("the model leaves the prompt out of its pooling; here it is pooled with the rest")
    return own, tuple(notes)


def _read_sizes(folder: Path) -> dict[str, Any]:
    # The name depends on the class that saved it: sentence_bert_config.json, sentence_roberta_config.json, ...
    found = sorted(folder.glob("sentence_*_config.json"))
    return _read_json(found[0], {}) if found else {}


def _note_modules(types: list[str]) -> tuple[str, ...]:
    left_out = [name for name in types if name not in _KNOWN_MODULES]
    return (f"the model's own {', '.join(left_out)} after the pooling is not applied",) if left_out else ()


def _note_similarity(head: dict[str, Any]) -> tuple[str, ...]:
    own = head.get("similarity_fn_name")
    return (f"the model's own similarity is {own}; ranked by cosine here",) if own not in (None, "cosine") else ()
