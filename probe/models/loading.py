"""Load an encoder: its weights, its tokenizer, its layer stack and everything that decides its vectors."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from probe.errors import ModelError
from probe.layers.layer_stack import find_layers
from probe.models.in_memory import read_sentence_transformer
from probe.models.info import ModelFacts, ModelFiles, find_files
from probe.models.loaded import LoadedModel, assemble, refuse_missing
from probe.models.options import LoadOptions
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
    return load_files(find_files(str(model), options))


def load_files(files: ModelFiles, facts: ModelFacts | None = None) -> LoadedModel:
    """Load an encoder whose files were found.

    Args:
        files: The files, and how they are to be loaded.
        facts: What an earlier loading of the same files showed, if it is known.

    Raises:
        CallError: The model does not take inputs of that length.
        ModelError: Its layers cannot be read.
    """
    if files.layerless:
        raise ModelError(
            f"'{files.source.name}' is an encoder without layers ({files.layerless}): "
            "probe rank compares it with others"
        )
    if files.tower is not None:
        return load_tower(files, files.options.max_tokens)
    from probe.models.pipeline import check_reads_texts, load_pipeline

    pipeline, missing = load_pipeline(files)
    name = files.source.name
    first: Any = pipeline[0]
    check_reads_texts(pipeline, name)
    stack = find_layers(first.auto_model)
    refuse_missing(name, [tensor for tensor in missing if stack.needs(tensor)])
    model = assemble(files, pipeline, stack, facts=facts)
    # Cast once, not in every product as autocast does: half the memory traffic between the products, too.
    first.auto_model.to(files.device, files.dtype)
    for module in list(pipeline)[1:]:
        module.to(files.device)
    return model
