"""Load an encoder with its tokenizer, its layer stack and everything that decides its vectors."""

from typing import Any

from torch import nn

from probe.layers.layer_stack import LayerStack, find_layers
from probe.models.info import ModelFacts, ModelFiles, build_profile, find_files
from probe.models.loaded import LoadedModel, load_part, load_weights, pick_max_tokens, refuse_missing
from probe.models.options import LoadOptions
from probe.models.tokenization import lower_case
from probe.models.tower_loading import load_tower

__all__ = ["load_files", "load_model"]

_NORM_NOTE = "the model's final norm is applied at every layer, as a model cut there would apply it"


def load_model(name: str, options: LoadOptions | None = None) -> LoadedModel:
    """Load an encoder by alias, hub id or folder.

    Args:
        name: Alias, hub id or folder; `clip@image` of one tower.
        options: How to load it.

    Returns:
        The model, its own settings resolved: what the caller asks for, else the catalog, else its folder.

    Raises:
        CallError: The name or an option is wrong.
        ModelError: The files cannot be had, or its layers cannot be read.
    """
    options = options or LoadOptions()
    return load_files(find_files(name, options), options.max_tokens)


def load_files(files: ModelFiles, max_tokens: int | None = None) -> LoadedModel:
    """Load an encoder whose files were found.

    Args:
        files: The files.
        max_tokens: Longest input in tokens; the model's own when left out.

    Returns:
        The model.

    Raises:
        CallError: The model does not take inputs of that length.
        ModelError: Its layers cannot be read.
    """
    if files.tower is not None:
        return load_tower(files, max_tokens)
    config = files.config
    module, tokenizer, stack = _load_module(files)
    facts = ModelFacts(
        depth=stack.depth,
        width=_width_of(module),
        parameters=stack.parameters_by_layer(module),
        max_tokens=pick_max_tokens(max_tokens, config.max_tokens, _count_positions(module), tokenizer=tokenizer),
        notes=(*config.notes, *((_NORM_NOTE,) if stack.final_norm is not None else ())),
        pooling=config.pooling,
    )
    # Cast once, not in every product as autocast does: half the memory traffic between the products, too.
    module = module.to(files.device, files.dtype)
    return LoadedModel(**vars(build_profile(files, facts)), module=module, tokenizer=tokenizer, stack=stack)


def _width_of(module: nn.Module) -> int:
    return int(module.config.get_text_config().hidden_size)  # type: ignore[union-attr, operator]


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
