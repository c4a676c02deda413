"""Names of the files of a shelf: the number of the chunk, and an ending per set of layers and poolings."""

import re
from collections.abc import Iterable

from probe.io.files import digest
from probe.io.remote_path import Location
from probe.layers.hookpoint import LayerPooling
from probe.store.chunk_file import layer_poolings_in

__all__ = ["chunk_name", "chunk_numbers", "ending_of", "stored_layer_poolings"]

_NAME = re.compile(r"(\d+)-(.+)\.safetensors")


def ending_of(layer_poolings: Iterable[LayerPooling]) -> str:
    """Return what ends the names of files that hold these layers and poolings."""
    return digest({"places": sorted(f"{layer}:{pooling}" for layer, pooling in layer_poolings)})[:12]


def chunk_name(number: int, ending: str) -> str:
    """Return the name of the file of a chunk, numbered from 0, with the ending of what it holds."""
    return f"{number:06d}-{ending}.safetensors"


def chunk_numbers(names: Iterable[str]) -> dict[str, set[int]]:
    """Return the chunks that the files in a shelf's folder are named after, per ending."""
    numbers: dict[str, set[int]] = {}
    for name in names:
        if match := _NAME.fullmatch(name):
            numbers.setdefault(match[2], set()).add(int(match[1]))
    return numbers


def stored_layer_poolings(folder: Location, ending: str, numbers: Iterable[int]) -> set[LayerPooling]:
    """Return the layers and poolings in a shelf's files of one ending, by the first that can be read."""
    found = (layer_poolings_in(folder / chunk_name(number, ending)) for number in sorted(numbers))
    return next((layer_poolings for layer_poolings in found if layer_poolings), set())
