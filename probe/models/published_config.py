"""Settings in a model's folder: modules, prompts, maximum length, similarity (sentence-transformers' config files).

Read without loading the model, so that runs from the store need neither torch models nor sentence-transformers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from probe.errors import CallError, ModelError
from probe.io.model_files import Route, SavedModule, find_transformer_part, read_modules
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
    """Fields of sentence_bert_config.json."""

    max_seq_length: int | None = None
    do_lower_case: bool = False


class _Head(_Strict):
    """Fields of config_sentence_transformers.json."""

    prompts: dict[str, str | None] | None = None
    default_prompt_name: str | None = None
    similarity_fn_name: str | None = None
    truncate_dim: int | None = None


@dataclass(frozen=True)
class ModelConfig:
    """Settings of a model's folder.

    Attributes:
        transformer: Folder of the transformer, relative to the model's.
        modules: Its modules; empty without a modules.json.
        pooling: Pooling of a folder without modules.json, if known from the catalog.
        query_prompt: Prefix of every query.
        document_prompt: Prefix of every document.
        prompts: All prompts of the folder, by name.
        max_tokens: Maximum input length in tokens, or None if only the tokenizer defines it.
        lower_case: Whether texts are lower-cased before tokenization.
        normalizes: Whether its vectors are scaled to length 1.
        similarity: Similarity function of its vectors.
        settings: Other settings of its transformer.
        truncate_dim: Number of dimensions its vectors are truncated to, if any.
        notes: Notes under every table; they change no score.
        route: Name of the route of a router whose modules these are; empty for any other model.
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
    route: str = ""


def read_model_config(folder: Path, route: Route | None = None) -> ModelConfig:
    """Read sentence-transformers' config files of a model, with its defaults for missing files.

    Args:
        folder: The model's folder.
        route: The route to read, of a router.

    Raises:
        ModelError: If one of the files is malformed.
    """
    modules = read_modules(folder) if route is None else route.modules
    for module in modules[1:]:
        _read_json(module.folder / "config.json", dict[str, Any], {})
    transformer = find_transformer_part(folder) if route is None else modules[0].folder
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
        route="" if route is None else route.name,
    )


def _note_prompts(prompts: Mapping[str, str]) -> tuple[str, ...]:
    """Return a note on prompts that are used neither for queries nor for documents by default."""
    others = [name for name in prompts if name not in ("query", "document")]
    if not others:
        return ()
    return (f"prompts used only on request (--query-prompt-name, --document-prompt-name): {', '.join(others)}",)


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
    """Return a model's settings with its published ones, if `name` is its alias.

    For a hub id, sentence-transformers' settings apply; only if the cached files lack modules.json, the pooling comes
    from the catalog.
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
    """Return a model's settings with the prompts of the options."""
    query = _pick_prompt("query", config, options.query_prompt, name=options.query_prompt_name)
    document = _pick_prompt("document", config, options.document_prompt, name=options.document_prompt_name)
    return replace(config, query_prompt=query, document_prompt=document)


def _pick_prompt(side: str, config: ModelConfig, text: str | None, *, name: str | None) -> str:
    if name is None:
        own: str = getattr(config, f"{side}_prompt")
        return own if text is None else text
    if text is not None:
        raise CallError(f"--{side}-prompt and --{side}-prompt-name exclude each other: pass one of them")
    if name not in config.prompts:
        listed = ", ".join(config.prompts) or "none"
        raise CallError(f"--{side}-prompt-name {name} is unknown: the model's prompts are: {listed}")
    return config.prompts[name]
