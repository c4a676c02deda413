"""The hookpoints of a model, with explicit layers and poolings."""

import copy
from collections.abc import Sequence
from dataclasses import replace

from probe.encoding.reader import LayerReader
from probe.errors import CallError, check_type
from probe.layers.hookpoint import HEAD, OWN, TOKENS, Hookpoint, Layers, check_pooling
from probe.layers.layer_numbers import parse_layers
from probe.metrics.similarity import COSINE
from probe.models.info import ModelProfile

__all__ = ["for_similarity", "own_pooling", "select_hookpoints", "with_full_model"]


def select_hookpoints(
    model: ModelProfile, layers: Layers, poolings: str | Sequence[str] = ("own",), *, tokens: bool = False
) -> tuple[Hookpoint, ...]:
    """Expand layers and poolings into explicit hookpoints.

    Args:
        model: The model.
        layers: `all`, `last`, `0-6` or `1,3,5`, or numbers.
        poolings: Names of poolings; `own` is the model's own.
        tokens: Whether `tokens` is allowed.

    Returns:
        One hookpoint per pooling and layer.

    Raises:
        CallError: If a layer is out of range, a pooling is unknown, or the model has no own vectors.
    """
    numbers = parse_layers(layers, model.depth)
    poolings = [poolings] if isinstance(poolings, str) else poolings
    check_type("poolings", poolings, Sequence, expected="the name of a pooling, or a list of names")
    names = dict.fromkeys(_pooling_of(model, name, tokens) for name in poolings)
    return tuple(Hookpoint(model.source.name, layer, name) for name in names for layer in numbers)


def _pooling_of(model: ModelProfile, name: str, tokens: bool) -> str:
    if name == "own":
        return own_pooling(model)
    source = model.source.name
    if model.depth == 0:
        raise CallError(f"'{source}' is an encoder without layers, so it has no token states to pool: remove '{name}'")
    if model.tower and name == TOKENS:
        raise CallError(
            f"'{source}' is a tower, whose token states have no projection into the common space: remove ':{TOKENS}'"
        )
    # A pooling head cannot be replaced by another pooling.
    if HEAD in (name, model.pooling) and name != model.pooling:
        raise CallError(f"unsupported pooling '{name}' of '{source}': expected {model.pooling} (or own)")
    return name if name == HEAD else check_pooling(name, tokens)


def own_pooling(model: ModelProfile) -> str:
    """Return the name of the model's own vectors: a bare pooling if it ranks equally, else `own`.

    Raises:
        CallError: If the model has no own vectors.
    """
    if model.pooling is None:
        name = model.source.name
        raise CallError(f"'{name}': {model.refusal}: pass a pooling, such as --pooling mean or the spec {name}:mean")
    return model.pooling


def for_similarity(reader: LayerReader, similarity: str) -> LayerReader:
    """Return a reader whose model calls its own vectors `own` if they may rank differently from its bare states.

    Both rank equally under the model's similarity and the cosine, but other similarities depend on lengths.
    """
    model = reader.model
    if similarity in (OWN, COSINE, model.similarity) or model.tower or model.pooling is None:
        return reader
    apart = copy.copy(reader)
    apart.model = replace(model, pooling=OWN)
    return apart


def with_full_model(
    model: ModelProfile, layers: Layers, poolings: str | Sequence[str], *, tokens: bool = False
) -> tuple[tuple[Hookpoint, ...], Hookpoint]:
    """Expand layers and poolings into hookpoints, including the full model's; return all, and the full model's.

    Raises:
        CallError: If a layer or pooling is invalid.
    """
    points = select_hookpoints(model, layers, poolings, tokens=tokens)
    pooling = model.pooling or points[0].layer_pooling[1]
    full = Hookpoint(model.source.name, model.depth, pooling)
    return tuple(dict.fromkeys([*points, full])), full
