"""Open a model for reading; one the store knows is not loaded before a text has to pass through it."""

from dataclasses import asdict, fields
from functools import partial
from typing import Any

from pydantic import TypeAdapter

from probe.encoding.reader import LayerReader
from probe.encoding.tower_reader import TowerReader
from probe.io.package_data import VECTOR_LIBRARIES, library_versions
from probe.models.info import ModelFacts, ModelFiles, build_profile, find_files
from probe.models.loading import load_files
from probe.models.options import LoadOptions
from probe.store.store import Store

__all__ = ["open_reader"]


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
    reader = TowerReader if files.tower else LayerReader
    if store is None:
        return reader(load_files(files, options.max_tokens))
    parts = _parts(files, options)
    known = store.read_facts(parts)
    if known is not None:
        facts = TypeAdapter(ModelFacts).validate_python(known)
        return reader(build_profile(files, facts), load=partial(load_files, files, options.max_tokens))
    model = load_files(files, options.max_tokens)
    store.write_facts(parts, {field.name: getattr(model, field.name) for field in fields(ModelFacts)})
    return reader(model)


def _parts(files: ModelFiles, options: LoadOptions) -> dict[str, Any]:
    """Return all that decides the facts of a model, as plain values."""
    return {
        "facts": [field.name for field in fields(ModelFacts)],
        "files": [files.weights_hash, files.config_hash, files.tokenizer_hash],
        "config": {key: value for key, value in asdict(files.config).items() if key != "transformer"},
        "max_tokens": options.max_tokens,
        "libraries": library_versions(VECTOR_LIBRARIES),
    }
