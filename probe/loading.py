"""Load an encoder with its tokenizer, its layer stack and everything that decides its vectors."""

import hashlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from probe.batches import lower_case
from probe.catalog import CatalogEntry
from probe.device import pick_device, pick_dtype
from probe.errors import CallError, ModelError
from probe.layers import LayerStack, find_layers
from probe.model_config import ModelConfig, read_model_config
from probe.sources import ModelSource, find_source, hash_files

__all__ = ["LoadOptions", "LoadedModel", "load_model"]

_TOKENIZER_FILES = ("tokenizer*.json", "*_tokens*.json", "vocab.*", "merges.txt", "*.model")
# Used where neither the folder nor the tokenizer nor the config names a longest input.
_DEFAULT_MAX_TOKENS = 512
_NORM_NOTE = "the model's final norm is applied at every layer, as a model cut there would apply it"
# transformers writes about 1e30 where a tokenizer knows no limit.
_ENDLESS = 10**9


@dataclass(frozen=True)
class LoadOptions:
    """How to load a model; None leaves the model's own value.

    Attributes:
        dtype: `auto`, `float32`, `bfloat16` or `float16`: of the matrix products only.
        device: `auto`, `cpu`, `cuda`, ...
        max_tokens: Longest input in tokens.
        query_prompt: Put before every query.
        document_prompt: Put before every document.
        trust_remote_code: Run code that the model's folder brings.
    """

    dtype: str = "auto"
    device: str = "auto"
    max_tokens: int | None = None
    query_prompt: str | None = None
    document_prompt: str | None = None
    trust_remote_code: bool = False


@dataclass(frozen=True)
class LoadedModel:
    """An encoder in memory, ready to be read at any layer.

    Attributes:
        source: Where its files are.
        module: The transformer, in evaluation mode.
        tokenizer: Its tokenizer.
        stack: Its layers.
        dtype: Of the matrix products.
        device: Where it runs.
        pooling: Its own pooling, or None where it is none of ours.
        max_tokens: Longest input in tokens.
        query_prompt: Put before every query.
        document_prompt: Put before every document.
        weights_hash: sha256 of its weight files.
        config_hash: sha256 of its config, of code its folder brings, and of whether it lower-cases.
        tokenizer_hash: sha256 of its tokenizer's files.
        notes: What the model asks for that a hookpoint leaves out.
    """

    source: ModelSource
    module: nn.Module = field(repr=False)
    tokenizer: Any = field(repr=False)
    stack: LayerStack = field(repr=False)
    dtype: torch.dtype
    device: torch.device
    pooling: str | None
    max_tokens: int
    query_prompt: str
    document_prompt: str
    weights_hash: str
    config_hash: str
    tokenizer_hash: str
    notes: tuple[str, ...]


def load_model(name: str, options: LoadOptions | None = None) -> LoadedModel:
    """Load an encoder by alias, hub id or folder.

    Args:
        name: Alias, hub id or folder.
        options: How to load it.

    Returns:
        The model, its own settings resolved: what the caller asks for, else the catalog, else its folder.

    Raises:
        CallError: The name or an option is wrong.
        ModelError: The files cannot be had, or its layers cannot be read.
    """
    options = options or LoadOptions()
    device = pick_device(options.device)
    dtype = pick_dtype(options.dtype, device)
    source = find_source(name)
    config = _with_catalog(read_model_config(source.folder), source.entry)
    module, tokenizer, stack = _load_module(config, options.trust_remote_code, name)
    return LoadedModel(
        source=source,
        module=module.to(device),
        tokenizer=tokenizer,
        stack=stack,
        dtype=dtype,
        device=device,
        pooling=config.pooling,
        max_tokens=_pick_max_tokens(options.max_tokens, config, module, tokenizer),
        query_prompt=config.query_prompt if options.query_prompt is None else options.query_prompt,
        document_prompt=config.document_prompt if options.document_prompt is None else options.document_prompt,
        weights_hash=hash_files(sorted(config.transformer.glob("*.safetensors"))),
        config_hash=_hash_config(config),
        tokenizer_hash=_hash_tokenizer(config.transformer, name),
        notes=(*config.notes, *((_NORM_NOTE,) if stack.final_norm is not None else ())),
    )


def _with_catalog(config: ModelConfig, entry: CatalogEntry | None) -> ModelConfig:
    if entry is None:
        return config
    notes = tuple(note for note in config.notes if "names no pooling" not in note)
    return replace(
        config,
        pooling=entry.pooling,
        query_prompt=entry.query_prompt,
        document_prompt=entry.document_prompt,
        max_tokens=entry.max_tokens,
        notes=notes,
    )


def _load_module(config: ModelConfig, trust: bool, name: str) -> tuple[nn.Module, Any, LayerStack]:
    from transformers import (
        MODEL_FOR_TEXT_ENCODING_MAPPING,
        AutoConfig,
        AutoModel,
        AutoModelForTextEncoding,
        AutoTokenizer,
    )

    folder = str(config.transformer)
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=trust)
        config_class = type(AutoConfig.from_pretrained(folder, trust_remote_code=trust))
        # Of T5 and its kin only the encoder embeds; for the others both classes load the same.
        encodes = config_class in MODEL_FOR_TEXT_ENCODING_MAPPING
        module, report = (AutoModelForTextEncoding if encodes else AutoModel).from_pretrained(
            folder, dtype=torch.float32, use_safetensors=True, trust_remote_code=trust, output_loading_info=True
        )
    except Exception as error:  # whatever a foreign folder makes transformers raise
        raise ModelError(_explain_load_failure(name, error)) from error
    # A decoder would keep the keys and values of every token and layer.
    module.config.use_cache = False
    stack = find_layers(module.eval())
    missing = sorted(key for key in report["missing_keys"] if stack.needs(key))
    if missing:
        raise ModelError(
            f"'{name}' holds no weights for {len(missing)} tensors its config asks for ({missing[0]}, ...): "
            "they would be random. The config and the weights do not belong together."
        )
    if config.lower_case:
        lower_case(tokenizer)
    return module, tokenizer, stack


def _explain_load_failure(name: str, error: Exception) -> str:
    said = str(error).strip()
    if "trust_remote_code" in said:
        return f"'{name}' brings code of its own: pass --trust-remote-code if you have read it and trust it"
    if "ignore_mismatched_sizes" in said:
        return f"'{name}' cannot be loaded: its weights have other shapes than its config says"
    first_line = f"{type(error).__name__}: {next(iter(said.splitlines()), '')}"
    return f"'{name}' cannot be loaded by transformers: {first_line[:300]}"


def _pick_max_tokens(wanted: int | None, config: ModelConfig, module: nn.Module, tokenizer: Any) -> int:
    """Return the longest input: as asked, as sentence-transformers says, or as tokenizer and positions allow."""
    possible = _count_positions(module)
    if wanted is not None:
        least = tokenizer.num_special_tokens_to_add() + 1
        if not least <= wanted <= (possible or wanted):
            most = possible or "any number"
            raise CallError(f"--max-tokens {wanted} is out of range: the model takes {least} to {most}")
        return wanted
    limits = [n for n in (config.max_tokens or tokenizer.model_max_length, possible) if n and n < _ENDLESS]
    return int(min(limits, default=_DEFAULT_MAX_TOKENS))


def _count_positions(module: nn.Module) -> int | None:
    """Return how many tokens the positions suffice for; RoBERTa-like models lose those up to the padding id."""
    config: Any = module.config
    positions = getattr(config, "max_position_embeddings", None)
    if not isinstance(positions, int) or positions < 1:
        return None
    words: Any = module.get_input_embeddings()  # type: ignore[operator]
    others = [m for m in module.modules() if isinstance(m, nn.Embedding) and m is not words]
    tables = [table for table in others if table.num_embeddings == positions]
    offsets = [table.padding_idx + 1 for table in tables if table.padding_idx is not None]
    return positions - max(offsets, default=0)


def _hash_tokenizer(folder: Path, name: str) -> str:
    files = sorted({path for pattern in _TOKENIZER_FILES for path in folder.glob(pattern)})
    if not files:
        raise ModelError(f"'{name}' holds no tokenizer: expected tokenizer.json or a vocabulary beside the weights")
    return hash_files(files)


def _hash_config(config: ModelConfig) -> str:
    files = [config.transformer / "config.json", *sorted(config.transformer.glob("*.py"))]
    return hashlib.sha256(f"{hash_files(files)} {config.lower_case}".encode()).hexdigest()
