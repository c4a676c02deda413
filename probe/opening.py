"""Open a model for reading; one the store knows is not loaded before a text has to pass through it."""

from dataclasses import asdict
from functools import partial
from typing import Any

from probe.loading import LoadedModel, load_files
from probe.profile import LoadOptions, ModelFiles, ModelProfile, find_files
from probe.reader import LayerReader
from probe.store import Store
from probe.versions import VECTOR_LIBRARIES, library_versions

__all__ = ["open_reader"]

# What only loading a model shows.
_FACTS = ("depth", "width", "parameters", "max_tokens", "notes")


def open_reader(name: str, options: LoadOptions | None = None, store: Store | None = None) -> LayerReader:
    """Open a model by alias, hub id or folder.

    Args:
        name: Alias, hub id or folder.
        options: How to load it.
        store: Where facts of models and states are kept, if anywhere.

    Returns:
        Its reader.

    Raises:
        CallError: The name or an option is wrong.
        ModelError: The files cannot be had, or its layers cannot be read.
    """
    options = options or LoadOptions()
    files = find_files(name, options)
    if store is None:
        return LayerReader(load_files(files, options.max_tokens))
    parts = _parts(files, options)
    facts = store.read_facts(parts)
    if facts is not None:
        return LayerReader(_profile(files, facts), load=partial(load_files, files, options.max_tokens))
    model = load_files(files, options.max_tokens)
    store.write_facts(parts, _facts(model))
    return LayerReader(model)


def _parts(files: ModelFiles, options: LoadOptions) -> dict[str, Any]:
    """Return all that decides the facts of a model, as plain values."""
    return {
        "files": [files.weights_hash, files.config_hash, files.tokenizer_hash],
        "config": {key: value for key, value in asdict(files.config).items() if key != "transformer"},
        "max_tokens": options.max_tokens,
        "libraries": library_versions(VECTOR_LIBRARIES),
    }


def _facts(model: LoadedModel) -> dict[str, Any]:
    return {fact: getattr(model, fact) for fact in _FACTS}


def _profile(files: ModelFiles, facts: dict[str, Any]) -> ModelProfile:
    return ModelProfile(
        source=files.source,
        depth=facts["depth"],
        width=facts["width"],
        parameters=tuple(facts["parameters"]),
        dtype=files.dtype,
        device=files.device,
        pooling=files.config.pooling,
        max_tokens=facts["max_tokens"],
        query_prompt=files.config.query_prompt,
        document_prompt=files.config.document_prompt,
        weights_hash=files.weights_hash,
        config_hash=files.config_hash,
        tokenizer_hash=files.tokenizer_hash,
        notes=tuple(facts["notes"]),
    )
