"""Loading of an encoder: weights, tokenizer, layer stack and everything else that determines its vectors."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probe.errors import ModelError
from probe.layers.full_precision import full_precision
from probe.layers.layer_stack import find_layers
from probe.models.in_memory import read_sentence_transformer
from probe.models.info import ModelFacts, ModelFiles, find_files, known_facts
from probe.models.loaded import LoadedModel, assemble, refuse_missing
from probe.models.options import LoadOptions
from probe.models.tower_loading import load_tower

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

__all__ = ["load_files", "load_model"]

# Of every folder that this process loaded, by all that they follow from: checking them takes longer than loading.
_FACTS: dict[str, ModelFacts] = {}


def load_model(model: "str | Path | SentenceTransformer", options: LoadOptions | None = None) -> LoadedModel:
    """Load an encoder by alias, hub id or folder.

    Args:
        model: Alias, hub id or folder; `clip@image` for one tower. A `SentenceTransformer` object is used as it is.
        options: Load options.

    Returns:
        The model with resolved settings: options override the catalog, which overrides its folder.

    Raises:
        CallError: If the name or an option is invalid.
        ModelError: If the files are not available or its layers cannot be read.
    """
    options = options or LoadOptions()
    if not isinstance(model, str | Path):
        return read_sentence_transformer(model, options)
    return load_files(find_files(str(model), options))


def load_files(files: ModelFiles, facts: ModelFacts | None = None) -> LoadedModel:
    """Load an encoder from its files.

    Args:
        files: The located files with their settings.
        facts: Facts from an earlier load of the same files, if known.

    Raises:
        CallError: If the model does not support the requested length.
        ModelError: If its layers cannot be read.
    """
    if files.routed:
        raise ModelError(
            f"'{files.source.name}' is a router of two encoders, without layers of its own: name one of its routes, "
            f"such as {files.source.name}@query"
        )
    if files.layerless:
        raise ModelError(
            f"'{files.source.name}' is an encoder without layers ({files.layerless}): "
            "compare it with others in probe rank"
        )
    if files.tower is not None:
        return load_tower(files, files.options.max_tokens)
    from probe.models.pipeline import check_reads_texts, load_pipeline

    pipeline, missing = load_pipeline(files, files.dtype)
    name = files.source.name
    first: Any = pipeline[0]
    check_reads_texts(pipeline, name)
    with full_precision(first.auto_model):
        stack = find_layers(first.auto_model)
    refuse_missing(name, [tensor for tensor in missing if stack.needs(tensor)])
    key = json.dumps([files.describe(), str(files.options)], default=str)
    model = assemble(files, pipeline, stack, facts=facts or _FACTS.get(key))
    _FACTS[key] = known_facts(model)
    # Buffers, too, and what transformers keeps in float32: a cast in every product, as by autocast, takes more traffic.
    first.auto_model.to(files.device, files.dtype)
    for module in list(pipeline)[1:]:
        module.to(files.device)
    return model
