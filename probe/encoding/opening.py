"""Opening of models for reading; a model known to the store is loaded only if a text has to be encoded."""

import copy
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from pydantic import TypeAdapter

from probe.encoding.encoders import HookpointEncoder
from probe.encoding.hookpoints import for_similarity, select_hookpoints
from probe.encoding.paired import PairedEncoder
from probe.encoding.reader import LayerReader
from probe.encoding.self_test import check_device
from probe.encoding.tower_reader import TowerReader
from probe.encoding.whole_reader import WholeReader, load_whole
from probe.errors import CallError, wrong_type
from probe.layers.hookpoint import OWN, ROUTES, TOKENS, split_fusion, split_spec
from probe.metrics.similarity import OWN as OWN_SIMILARITY
from probe.models.info import ModelFacts, ModelFiles, build_profile, find_files, known_facts
from probe.models.loaded import LoadedModel
from probe.models.loading import load_files, load_model
from probe.models.options import LoadOptions
from probe.store.store import Store

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

__all__ = [
    "Openable",
    "as_model",
    "as_reader",
    "load_encoder",
    "name_reader",
    "open_model",
    "open_reader",
    "refuse_part",
]

# The accepted forms of a model.
Openable: TypeAlias = "str | Path | LayerReader | LoadedModel | SentenceTransformer | HookpointEncoder | PairedEncoder"
_EXPECTED = "an alias, a hub id, a folder, a SentenceTransformer, a loaded model, a LayerReader or a HookpointEncoder"


def load_encoder(model: Openable, options: LoadOptions | None = None) -> HookpointEncoder | PairedEncoder:
    """Open a hookpoint as an encoder.

    Args:
        model: `[name=]model[@layer][:pooling]`, a string or a path; default: the last layer and the model's own
            pooling. A model in memory is read at its last layer.
        options: Load options for a model given by name.

    Returns:
        The encoder; blocks above its layer do not run. For a router, both its routes as a `PairedEncoder`.

    Raises:
        CallError: If the spec is malformed, or is not a single hookpoint with one vector per text.
        ModelError: If the model cannot be loaded.
    """
    if isinstance(model, HookpointEncoder | PairedEncoder):
        return model
    if not isinstance(model, str | Path):
        given = as_reader(model, options)
        return HookpointEncoder(given, given.model.depth, OWN)
    spec = str(model)
    if len(split_fusion(spec)) > 1:
        raise CallError(f"'{spec}' is a fusion, not a single hookpoint: use adaptors.load_encoder")
    name, layers, pooling = split_spec(spec)
    if pooling == TOKENS:
        raise CallError(
            f"'{spec}' has one vector per token: use probe.encoding.encoders.TokenEncoder(LayerReader('{name}'), layer)"
        )
    reader = open_model(name, options)
    if isinstance(reader, PairedEncoder):
        refuse_part(reader, layers, pooling)
        return reader
    points = select_hookpoints(reader.model, layers or "last", [pooling or OWN])
    if len(points) > 1:
        raise CallError(f"'{spec}' has {len(points)} layers: expected one, such as {name}@{points[-1].layer}")
    return HookpointEncoder(reader, points[0].layer_pooling[0], pooling or OWN)


def as_reader(model: Openable, options: LoadOptions | None = None, store: Store | None = None) -> LayerReader:
    """Return a reader of a model given in any form; the options apply to models given by name.

    Raises:
        CallError: If the name or an option is invalid, or the object is not a model.
        ModelError: If the files are unavailable, or its layers cannot be read.
    """
    if isinstance(model, LayerReader):
        return model
    if isinstance(model, HookpointEncoder):
        return model.reader
    if isinstance(model, PairedEncoder):
        raise CallError(f"'{model.name}' is two encoders, one for queries and one for documents: pass one of them")
    if isinstance(model, str | Path):
        return open_reader(str(model), options, store)
    loaded = model if isinstance(model, LoadedModel) else _read_object(model)
    return (TowerReader if loaded.tower else LayerReader)(loaded)


def _read_object(model: Any) -> LoadedModel:
    from torch import nn

    if not isinstance(model, nn.Module):
        raise wrong_type("model", model, _EXPECTED)
    return load_model(model)  # type: ignore[arg-type]


def as_model(model: Openable, options: LoadOptions | None = None) -> LoadedModel:
    """Return a loaded model, given in any form; the options apply to models given by name.

    Raises:
        CallError: If the name or an option is invalid, or the object is not a model.
        ModelError: If the files are unavailable, or it has no layers.
    """
    return load_model(model, options) if isinstance(model, str | Path) else as_reader(model).loaded


def name_reader(reader: LayerReader, name: str) -> LayerReader:
    """Return a reader of the same model under another name."""
    other = copy.copy(reader)
    other.model = replace(reader.model, source=replace(reader.model.source, name=name))
    return other


def refuse_part(router: PairedEncoder, layers: str | None, pooling: str | None) -> None:
    """Raise if a layer or pooling is requested of a router.

    Raises:
        CallError: If it is.
    """
    if layers or pooling:
        part = (f".{layers}" if layers else "") + (f":{pooling}" if pooling else "")
        raise CallError(
            f"'{router.name}' is a router, whose routes have layers of their own: use it without layer and pooling, or "
            f"name a route, such as {router.name}@query{part}"
        )


def open_model(
    name: str, options: LoadOptions | None = None, store: Store | None = None, *, similarity: str = OWN_SIMILARITY
) -> LayerReader | PairedEncoder:
    """Open a model by alias, hub id or folder; of a router, both routes.

    Args:
        name: Alias, hub id or folder.
        options: Load options.
        store: Store of model facts and states, if any.
        similarity: Similarity function of the vectors.

    Returns:
        A reader of the model; for a router with a route for queries and one for documents, an encoder of both.

    Raises:
        CallError: If the name or an option is invalid.
        ModelError: If the files are unavailable, or its layers cannot be read.
    """
    files = find_files(name, options or LoadOptions())
    if not files.routed:
        return for_similarity(_open_files(files, store), similarity)
    readers = [for_similarity(open_reader(f"{name}@{side}", options, store), similarity) for side in ROUTES]
    asker, index = (HookpointEncoder(reader, reader.model.depth, OWN) for reader in readers)
    return PairedEncoder(files.source.name, asker, index)


def open_reader(name: str, options: LoadOptions | None = None, store: Store | None = None) -> LayerReader:
    """Open a model by alias, hub id or folder.

    Args:
        name: Alias, hub id or folder.
        options: Load options.
        store: Store of model facts and states, if any.

    Returns:
        A reader of the model.

    Raises:
        CallError: If the name or an option is invalid.
        ModelError: If the files are unavailable, or its layers cannot be read.
    """
    files = find_files(name, options or LoadOptions())
    if files.routed:
        raise CallError(
            f"'{name}' is a router, with one encoder for queries and one for documents: rank it with probe rank, or "
            f"name one of its routes, {' or '.join(f'{name}@{side}' for side in ROUTES)}"
        )
    return _open_files(files, store)


def _open_files(files: ModelFiles, store: Store | None) -> LayerReader:
    reader = WholeReader if files.layerless else TowerReader if files.tower else LayerReader
    load: Callable[..., Any] = partial(_load, load_whole if files.layerless else load_files, reader)
    if store is None:
        return reader(load(files))
    parts = files.describe()
    known = store.read_facts(parts)
    if known is not None:
        facts = TypeAdapter(ModelFacts).validate_python(known)
        return reader(build_profile(files, facts), load=partial(load, files, facts))
    model = load(files)
    store.write_facts(parts, vars(known_facts(model)))
    return reader(model)


def _load(load: Callable[..., Any], reader: Callable[[Any], LayerReader], *given: Any) -> Any:
    """Load a model, and compare its vectors with the CPU's if it is elsewhere."""
    model = load(*given)
    check_device(model, reader)
    return model
