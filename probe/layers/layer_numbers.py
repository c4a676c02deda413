"""Layers by number: `all`, `last`, `0-5` or `1,3,5`."""

import re
from collections.abc import Iterable
from numbers import Integral

from probe.errors import CallError, wrong_type
from probe.layers.hookpoint import Layers

__all__ = ["parse_layers"]


def parse_layers(layers: Layers, depth: int) -> tuple[int, ...]:
    """Parse `all`, `last`, `3`, `0-5` or `1,3,5`, or numbers, into unique layers from 0 to `depth`, ascending.

    Raises:
        CallError: If the list is invalid, or a layer is outside 0..depth.
    """
    text = re.sub(r"\s*([,-])\s*", r"\1", _write_layers(layers).strip())
    if text == "all":
        return tuple(range(depth + 1))
    return tuple(sorted({layer for part in text.split(",") for layer in _parse_range(part, depth)}))


def _write_layers(layers: Layers) -> str:
    if isinstance(layers, str):
        return layers
    numbers = list(layers) if isinstance(layers, Iterable) else [layers]
    if not all(isinstance(number, Integral) for number in numbers):
        raise wrong_type("layers", layers, "all, last, a number, 0-5 or 1,3,5, or a list of numbers")
    return ",".join(map(str, numbers))


def _parse_range(part: str, depth: int) -> range:
    if part == "last":
        return range(depth, depth + 1)
    bounds = re.fullmatch(r"([0-9]+)(?:-([0-9]+))?", part)
    if bounds is None:
        raise CallError(f"invalid layer '{part}': expected all, last, a number, 0-5 or 1,3,5")
    first, last = int(bounds[1]), int(bounds[2] or bounds[1])
    if last < first:
        raise CallError(f"descending range '{part}' of layers: use {last}-{first}")
    if last > depth:
        raise CallError(f"layer {last} is out of range: the model has layers 0 to {depth} (0 = the embeddings)")
    return range(first, last + 1)
