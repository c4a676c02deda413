"""What a model's folder says about its use: pooling, prompts, longest input (sentence-transformers' files)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from probe.errors import ModelError

__all__ = ["NOT_APPLIED", "ModelConfig", "find_transformer", "first_module", "note_left_out", "read_model_config"]

_POOLINGS = {"cls": "cls", "mean": "mean", "max": "max", "lasttoken": "last", "mean_sqrt_len_tokens": "mean"}
_LEGACY_FLAGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
# The names sentence-transformers documents for it; its version 6 applies none but the first.
_DOCUMENT_PROMPTS = ("document", "passage", "corpus")
# Ends the note of modules that a hookpoint leaves out.
NOT_APPLIED = "after the pooling is not applied"
_KNOWN_MODULES = ("Transformer", "Pooling", "Normalize")

T = TypeVar("T")


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")


class _Module(_Strict):
    """One line of modules.json."""

    type: str = ""
    path: str = ""


class _Pooling(_Strict):
    """The pooling module's config.json."""

    pooling_mode: str | list[str] | None = None
    include_prompt: bool = True


class _Sizes(_Strict):
    """sentence_bert_config.json."""

    max_seq_length: int | None = None
    do_lower_case: bool = False


class _Head(_Strict):
    """config_sentence_transformers.json."""

    prompts: dict[str, str | None] | None = None
    similarity_fn_name: str | None = None


@dataclass(frozen=True)
class ModelConfig:
    """How a model's folder wants it to be used.

    Attributes:
        transformer: Folder of the transformer inside the model's.
        pooling: The model's own pooling, or None where it is none of ours.
        query_prompt: Put before every query.
        document_prompt: Put before every document.
        max_tokens: Longest input in tokens, or None where only the tokenizer knows.
        lower_case: Whether texts are lower-cased before they are tokenized.
        normalizes: Whether its vectors are scaled to length 1.
        notes: What the folder asks for that a hookpoint leaves out; shown under every table.
    """

    transformer: Path
    pooling: str | None = "mean"
    query_prompt: str = ""
    document_prompt: str = ""
    max_tokens: int | None = None
    lower_case: bool = False
    normalizes: bool = False
    notes: tuple[str, ...] = ()


def read_model_config(folder: Path) -> ModelConfig:
    """Read sentence-transformers' files of a model, or its defaults where there are none.

    Raises:
        ModelError: One of the files is malformed.
    """
    modules = _read_modules(folder)
    types = [module.type.rpartition(".")[2] for module in modules]
    transformer = find_transformer(folder)
    pooling, pooling_notes = _read_pooling(folder, modules, types)
    sizes = _read_sizes(transformer)
    head = _read_json(folder / "config_sentence_transformers.json", _Head, _Head())
    prompts = head.prompts or {}
    side = next(filter(prompts.get, _DOCUMENT_PROMPTS), "document")
    notes = [*pooling_notes]
    if left_out := [name for name in types if name not in _KNOWN_MODULES]:
        notes.append(note_left_out(left_out))
    if head.similarity_fn_name not in (None, "cosine"):
        notes.append(f"the model's own similarity is {head.similarity_fn_name}; ranked by cosine here")
    if side != "document":
        notes.append(f"the document prompt is the one the folder calls '{side}'")
    return ModelConfig(
        transformer,
        pooling,
        query_prompt=prompts.get("query") or "",
        document_prompt=prompts.get(side) or "",
        max_tokens=sizes.max_seq_length,
        lower_case=sizes.do_lower_case,
        normalizes="Normalize" in types,
        notes=tuple(notes),
    )


def find_transformer(folder: Path) -> Path:
    """Return the folder that holds the transformer's config and weights: `folder` or the one modules.json names.

    Raises:
        ModelError: modules.json is malformed.
    """
    modules = _read_modules(folder)
    return folder / modules[0].path if modules else folder


def first_module(folder: Path) -> str | None:
    """Return the class of the first module that modules.json names, if there is one.

    Raises:
        ModelError: modules.json is malformed.
    """
    modules = _read_modules(folder)
    return modules[0].type.rpartition(".")[2] if modules else None


def note_left_out(modules: Sequence[str]) -> str:
    """Return the note on modules after the pooling; a caller that applies them takes it back."""
    return f"the model's own {', '.join(modules)} {NOT_APPLIED}"


def _read_modules(folder: Path) -> list[_Module]:
    return _read_json(folder / "modules.json", list[_Module], [])


def _read_json(path: Path, kind: Any, default: T) -> T:
    if not path.is_file():
        return default
    try:
        value: T = TypeAdapter(kind).validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ModelError(f"{path} is malformed{' at ' if where else ''}{where}: {first['msg']}") from error
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error}") from error
    return value


def _read_pooling(folder: Path, modules: list[_Module], types: list[str]) -> tuple[str | None, tuple[str, ...]]:
    if "Pooling" not in types:
        return "mean", ("the folder names no pooling; mean is sentence-transformers' default",)
    path = folder / modules[types.index("Pooling")].path / "config.json"
    config = _read_json(path, _Pooling, _Pooling())
    flags = config.model_extra or {}
    mode = config.pooling_mode or [name for flag, name in _LEGACY_FLAGS.items() if flags.get(flag)] or "mean"
    modes = [mode] if isinstance(mode, str) else mode
    own = _POOLINGS.get(modes[0]) if len(modes) == 1 else None
    notes = [] if own else [f"the model's own pooling ({'+'.join(modes)}) is none of ours"]
    if not config.include_prompt:
        notes.append("the model leaves the prompt out of its pooling; here it is pooled with the rest")
    return own, tuple(notes)


def _read_sizes(folder: Path) -> _Sizes:
    # The name depends on the class that saved it: sentence_bert_config.json, sentence_roberta_config.json, ...
    found = sorted(folder.glob("sentence_*_config.json"))
    return _read_json(found[0], _Sizes, _Sizes()) if found else _Sizes()
