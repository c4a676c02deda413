"""Load an encoder: its weights, its tokenizer, its layer stack and everything that decides its vectors."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from probe.layers.layer_stack import LayerStack, find_layers
from probe.models.in_memory import read_sentence_transformer
from probe.models.info import ModelFiles, find_files
from probe.models.loaded import LoadedModel, assemble, load_part, load_weights, refuse_missing
from probe.models.options import LoadOptions
from probe.models.tokenization import lower_case
from probe.models.tower_loading import load_tower

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

__all__ = ["load_files", "load_model"]


def load_model(model: "str | Path | SentenceTransformer", options: LoadOptions | None = None) -> LoadedModel:
    """Load an encoder by alias, hub id or folder.

    Args:
        model: Alias, hub id or folder; `clip@image` of one tower. A `SentenceTransformer` is taken as it is in memory.
        options: How to load it.

    Returns:
        The model, its own settings resolved: what the caller asks for, else the catalog, else its folder.

    Raises:
        CallError: The name or an option is wrong.
        ModelError: The files cannot be had, or its layers cannot be read.
    """
    options = options or LoadOptions()
    if not isinstance(model, str | Path):
        return read_sentence_transformer(model, options)
    return load_files(find_files(str(model), options), options.max_tokens)


def load_files(files: ModelFiles, max_tokens: int | None = None) -> LoadedModel:
    """Load an encoder whose files were found; its longest input is the model's own when left out.

    Raises:
        CallError: The model does not take inputs of that length.
        ModelError: Its layers cannot be read.
    """
    if files.tower is not None:
        return load_tower(files, max_tokens)
    module, tokenizer, stack = _load_module(files)
    # Cast once, not in every product as autocast does: half the memory traffic between the products, too.
    return assemble(files, module.to(files.device, files.dtype), tokenizer, stack=stack, max_tokens=max_tokens)


def _load_module(files: ModelFiles) -> tuple[nn.Module, Any, LayerStack]:
    from transformers import (
        MODEL_FOR_TEXT_ENCODING_MAPPING,
        AutoConfig,
        AutoModel,
        AutoModelForTextEncoding,
        AutoTokenizer,
    )

    tokenizer = load_part(AutoTokenizer, files, trust_remote_code=files.trust)
    config_class = type(load_part(AutoConfig, files, trust_remote_code=files.trust))
    # Of T5 and its kin only the encoder embeds; for the others both classes load the same.
    encodes = config_class in MODEL_FOR_TEXT_ENCODING_MAPPING
    module, missing = load_weights(AutoModelForTextEncoding if encodes else AutoModel, files)
    # A decoder would keep the keys and values of every token and layer.
    module.config.use_cache = False  # type: ignore[union-attr]
    stack = find_layers(module)
    refuse_missing(files.source.name, [name for name in missing if stack.needs(name)])
    if files.config.lower_case:
        lower_case(tokenizer)
    return module, tokenizer, stack
