"""What a model's folder says about its use: modules, prompts, longest input, similarity (sentence-transformers' files).

Read without loading anything, so that a run from the store needs neither torch's models nor sentence-transformers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from probe.errors import CallError, ModelError
from probe.io.model_files import SavedModule, find_transformer_part, read_modules
from probe.models.catalog import CatalogEntry
from probe.models.options import LoadOptions

__all__ = [
    "SIMILARITIES",
    "ModelConfig",
    "read_model_config",
    "with_catalog",
    "with_options",
]

SIMILARITIES = ("cosine", "dot", "euclidean", "manhattan")

T = TypeVar("T")


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")


class _Sizes(_Strict):
    """sentence_bert_config.json."""

    max_seq_length: int | None = None
    do_lower_case: bool = False


class _Head(_Strict):
    """config_sentence_transformers.json."""

    prompts: dict[str, str | None] | None = None
    default_prompt_name: str | None = None
    similarity_fn_name: str | None = None
    truncate_dim: int | None = None


@dataclass(frozen=True)
class ModelConfig:
    """How a model's folder wants it to be used.

    Attributes:
        transformer: Folder of the transformer inside the model's.
        modules: Its modules; none where there is no modules.json.
        pooling: The pooling of a folder without modules.json, where somebody else knows it.
        query_prompt: Put before every query.
        document_prompt: Put before every document.
        prompts: Every prompt the folder names, by its name.
        max_tokens: Longest input in tokens, or None where only the tokenizer knows.
        lower_case: Whether texts are lower-cased before they are tokenized.
        normalizes: Whether its vectors are scaled to length 1.
        similarity: How its vectors are compared.
        settings: Further settings of its transformer.
        truncate_dim: Dimensions its vectors are cut to, if they are.
        notes: Shown under every table; nothing that changes a score.
    """

    transformer: Path
    modules: tuple[SavedModule, ...] = ()
    pooling: str | None = None
    query_prompt: str = ""
    document_prompt: str = ""
    prompts: Mapping[str, str] = field(default_factory=dict)
    max_tokens: int | None = None
    lower_case: bool = False
    normalizes: bool = False
    similarity: str = "cosine"
    settings: Mapping[str, Any] = field(default_factory=dict)
    truncate_dim: int | None = None
    notes: tuple[str, ...] = ()


def read_model_config(folder: Path) -> ModelConfig:
    """Read sentence-transformers' files of a model, or its defaults where there are none.

    Raises:
        ModelError: One of the files is malformed.
    """
    modules = read_modules(folder)
    for module in modules[1:]:
        _read_json(module.folder / "config.json", dict[str, Any], {})
    transformer = find_transformer_part(folder)
    sizes = _read_sizes(transformer)
    head = _read_json(folder / "config_sentence_transformers.json", _Head, _Head())
    prompts = {name: text for name, text in (head.prompts or {}).items() if text}
    similarity = head.similarity_fn_name
    return ModelConfig(
        transformer,
        modules,
        query_prompt=prompts.get("query", ""),
        document_prompt=prompts.get("document", ""),
        prompts=prompts,
        max_tokens=sizes.max_seq_length,
        lower_case=sizes.do_lower_case,
        normalizes=any(module.name == "Normalize" for module in modules),
        similarity=similarity if similarity in SIMILARITIES else "cosine",
        settings=dict(sizes.model_extra or {}),
        truncate_dim=head.truncate_dim,
        notes=_note_prompts(prompts),
    )


def _note_prompts(prompts: Mapping[str, str]) -> tuple[str, ...]:
    """Say which prompts neither queries nor documents get by themselves, as sentence-transformers applies them."""
    others = [name for name in prompts if name not in ("query", "document")]
    if not others:
        return ()
    return (
        f"prompts under other names, applied on request (--query-prompt-name, --document-prompt-name): "
        f"{', '.join(others)}",
    )


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


def _read_sizes(folder: Path) -> _Sizes:
    # The name depends on the class that saved it: sentence_bert_config.json, sentence_roberta_config.json, ...
    found = sorted(folder.glob("sentence_*_config.json"))
    return _read_json(found[0], _Sizes, _Sizes()) if found else _Sizes()


def with_catalog(config: ModelConfig, entry: CatalogEntry | None, name: str) -> ModelConfig:
    """Return a model's settings with those it was published with, where it is called by its alias, `name`.

    Called by its name on the hub it is what sentence-transformers makes of its files; but where a cache holds them
    without modules.json, its pooling is known from here.
    """
    if entry is None:
        return config
    if not config.modules:
        config = replace(config, pooling=entry.pooling, normalizes=True)
    if name != entry.alias:
        return config
    return replace(
        config, query_prompt=entry.query_prompt, document_prompt=entry.document_prompt, max_tokens=entry.max_tokens
    )


def with_options(config: ModelConfig, options: LoadOptions) -> ModelConfig:
    """Return a model's settings with the prompts that the caller asks for."""
    query = _pick_prompt("query", config, options.query_prompt, name=options.query_prompt_name)
    document = _pick_prompt("document", config, options.document_prompt, name=options.document_prompt_name)
    return replace(config, query_prompt=query, document_prompt=document)


def _pick_prompt(side: str, config: ModelConfig, text: str | None, *, name: str | None) -> str:
    if name is None:
        own: str = getattr(config, f"{side}_prompt")
        return own if text is None else text
    if text is not None:
        raise CallError(f"--{side}-prompt and --{side}-prompt-name say the same thing twice: give one of them")
    if name not in config.prompts:
        listed = ", ".join(config.prompts) or "none"
        raise CallError(f"--{side}-prompt-name {name}: the model's own prompts are: {listed}")
    return config.prompts[name]
