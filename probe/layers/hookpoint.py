"""Hookpoints: places where an embedding is read, written `model@layer:pooling` or `name=model@layer:pooling`."""

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from probe.errors import CallError, check_type

__all__ = [
    "HEAD",
    "OWN",
    "POOLING_NAMES",
    "ROUTES",
    "TOKENS",
    "TOWERS",
    "Hookpoint",
    "LayerPooling",
    "Layers",
    "SpecParts",
    "check_pooling",
    "model_of",
    "split_fusion",
    "split_name",
    "split_route",
    "split_spec",
    "split_tower",
]

# The keys of `probe.layers.pooling.POOLINGS`, repeated here so that parsing a spec does not import torch.
POOLING_NAMES = ("cls", "last", "max", "mean")
# In place of a pooling: no pooling, but one vector per token, for late interaction.
TOKENS = "tokens"
# The pooling of a tower that has a module for it (SigLIP's attention over the patches).
HEAD = "head"
# In place of a pooling: the model's own pooling and all modules after it.
OWN = "own"
# The towers of a two-tower model, as in `clip@image`.
TOWERS = ("image", "text")
# The routes of a router, as in `./pair@query`.
ROUTES = ("query", "document")

# A layer and a pooling of one model.
LayerPooling = tuple[int, str]
# Layers in all accepted forms.
Layers = str | int | Iterable[int]

# Layer and pooling, which may follow a model.
_POOLING = re.compile(r":[a-z]+$")
_LAYER_AND_POOLING = re.compile(r"(@[^@/\\+]*?)?(:[a-z]+)?$")
# Names of models, before an equals sign.
_NAME = re.compile(r"\w[\w.-]*")
_LAYERS = re.compile(r"last|all|[0-9]+|[0-9]+-[0-9]+|[0-9]+(,[0-9]+)+")
# A hub model at a commit, branch or tag; the revision contains a letter and does not look like a tower.
_AT_REVISION = re.compile(r"\w[\w.-]*/[\w.-]+@(?=.*[A-Za-z]|[0-9]{40}$)\w[\w./-]*")
# After the at sign: a tower or a route, a layer of one, or a layer of any other model.
_PART_LAYERS = re.compile(rf"({'|'.join((*TOWERS, *ROUTES))})(?:\.(.*))?")


class SpecParts(NamedTuple):
    """The parts of a spec; None for omitted ones. A name given to the model is part of `model`."""

    model: str
    layers: str | None
    pooling: str | None


def split_name(spec: str) -> tuple[str | None, str]:
    """Return the name at the start of a spec or model (`mine=./folder@5:mean`), and the rest.

    The name of an existing folder, or a path that contains an equals sign, is not split.

    Raises:
        CallError: If the name is invalid, there are two names, or nothing follows the name.
    """
    name, sign, rest = spec.partition("=")
    if not sign or _begins_path(name) or _is_folder(spec):
        return None, spec
    if not _NAME.fullmatch(name):
        raise CallError(
            f"invalid name '{name}' in '{spec}': expected letters, digits, '.', '_' and '-', such as mine=./folder"
        )
    if not rest:
        raise CallError(f"no model in '{spec}': expected one after '=', such as {name}=./folder@5:mean")
    other, _ = split_name(rest)
    if other is not None:
        raise CallError(f"two names in '{spec}', '{name}' and '{other}': expected one")
    return name, rest


def _begins_path(text: str) -> bool:
    return text.startswith((".", "~")) or any(mark in text for mark in "/\\")


def _is_folder(spec: str) -> bool:
    """Return whether a spec, without its layer and pooling, is the name of an existing folder."""
    return any(os.path.isdir(name) for name in (spec, _POOLING.sub("", spec), _LAYER_AND_POOLING.sub("", spec, 1)))


def split_spec(spec: str) -> SpecParts:
    """Split `[name=]model[@layers][:pooling]`, reading from the right.

    Args:
        spec: One hookpoint. The name of an existing folder is taken as a whole. Layers of a tower or of a router's
            route are written `clip@image.5` and `./pair@query.5`; the tower or route is part of the model
            (`clip@image`), as are the revision of a hub model (`owner/name@v1.0`) and a name given to it
            (`mine=clip@image`).

    Returns:
        The parts, with the model unresolved.

    Raises:
        CallError: If the name, the pooling or the layer is invalid.
    """
    name, rest = split_name(spec)
    model, pooling = _split_pooling(rest)
    model, layers = _split_layers(model)
    if not model:
        raise CallError(f"no model in '{spec}': expected model[@layer][:pooling], such as minilm@5:mean")
    return SpecParts(model if name is None else f"{name}={model}", layers, pooling)


def _split_pooling(spec: str) -> tuple[str, str | None]:
    head, colon, tail = spec.rpartition(":")
    # A colon before a slash or an at sign belongs to a folder's name or a drive.
    if not colon or os.path.isdir(spec) or any(mark in tail for mark in "/\\@"):
        return spec, None
    return head, tail if tail in (HEAD, OWN) else check_pooling(tail, tokens=True)


def _split_layers(spec: str) -> tuple[str, str | None]:
    head, at, tail = spec.rpartition("@")
    if not at or os.path.isdir(spec) or any(mark in tail for mark in "/\\") or _names_revision(spec, tail):
        return spec, None
    part = _PART_LAYERS.fullmatch(tail)
    if part and head:
        head, tail = f"{head}@{part[1]}", part[2]
    if tail is not None and not _LAYERS.fullmatch(tail):
        raise CallError(
            f"invalid layer '{tail}' in '{spec}': expected a number, last, all, 0-5 or 1,3,5 (image.5 or text.5 for "
            "a two-tower model, query.5 or document.5 for a router)"
        )
    return head, tail


def _names_revision(spec: str, tail: str) -> bool:
    """Return whether a spec ends in the revision of a hub model, as in `owner/name@v1.0`."""
    layer = tail in ("last", "all") or _PART_LAYERS.fullmatch(tail)
    return not layer and _AT_REVISION.fullmatch(spec) is not None


def model_of(spec: str) -> str:
    """Return the model of a hookpoint with an explicit layer: `minilm` for `minilm@5:mean`; or its tower or route."""
    model, _, rest = spec.rpartition("@")
    part = _PART_LAYERS.fullmatch(rest.partition(":")[0])
    return f"{model}@{part[1]}" if part else model


def split_tower(name: str) -> tuple[str, str | None]:
    """Return a model's name and its tower, if given (`clip@image`); the name of an existing folder is not split."""
    return _split_part(name, TOWERS)


def split_route(name: str) -> tuple[str, str | None]:
    """Return a router's name and its route, if given (`./pair@query`); the name of an existing folder is not split."""
    return _split_part(name, ROUTES)


def _split_part(name: str, parts: Sequence[str]) -> tuple[str, str | None]:
    model, _, part = name.rpartition("@")
    return (model, part) if model and part in parts and not os.path.isdir(name) else (name, None)


def split_fusion(spec: str) -> list[str]:
    """Split a spec at the plus signs between its hookpoints, but not within the name of an existing folder.

    Raises:
        CallError: If one side of a plus sign is empty.
    """
    pieces = spec.split("+")
    parts: list[str] = []
    while pieces:
        # Try the longest string first: an existing folder is taken as a whole.
        ends = range(len(pieces), 1, -1)
        count = next((end for end in ends if _is_named_folder("+".join(pieces[:end]))), 1)
        parts.append("+".join(pieces[:count]))
        pieces = pieces[count:]
    if not all(parts):
        raise CallError(
            f"incomplete fusion '{spec}': expected hookpoints on both sides of '+', such as minilm@6:mean+mpnet:mean"
        )
    return parts


def _is_named_folder(spec: str) -> bool:
    name, _, rest = spec.partition("=")
    return _is_folder(spec) or (_NAME.fullmatch(name) is not None and _is_folder(rest))


def check_pooling(name: str, tokens: bool = False) -> str:
    """Return `name` if it is a known pooling; `tokens` is allowed only if the flag is set.

    Raises:
        CallError: If the pooling is unknown.
    """
    names = (*POOLING_NAMES, TOKENS) if tokens else POOLING_NAMES
    if name in names:
        return name
    if name == TOKENS:
        raise CallError(
            f"'{TOKENS}' gives one vector per token, but one per text is needed: expected one of "
            f"{', '.join(names)} (or own); use probe rank or probe layers to score tokens"
        )
    raise CallError(f"unknown pooling '{name}': expected one of {', '.join(names)} (or own)")


@dataclass(frozen=True)
class Hookpoint:
    """A place where an embedding is read.

    Attributes:
        model: Alias, hub id or folder, as given, or the name given to it; `clip@image` for one tower, `./pair@query`
            for one route.
        layer: The `hidden_states` index, 0 = embeddings; None or "last" = the last layer.
        pooling: `cls`, `last`, `max` or `mean`; `tokens` = one vector per token; `head` = a tower's pooling module;
            None = the model's own.
    """

    model: str
    layer: int | str | None = None
    pooling: str | None = None

    @classmethod
    def parse(cls, spec: str) -> "Hookpoint":
        """Parse `[name=]model[@layer][:pooling]` with a single layer.

        Args:
            spec: The hookpoint.

        Returns:
            The hookpoint; its `str()` is `spec` again.

        Raises:
            CallError: If the spec is malformed or has several layers.
        """
        check_type("spec", spec, str, expected="a string such as 'minilm@5:mean'")
        model, layers, pooling = split_spec(spec)
        if layers is None or layers == "last":
            return cls(model, layers, pooling)
        if not layers.isdecimal():
            raise CallError(f"several layers in '{spec}': expected one, such as {model}@5")
        if str(int(layers)) != layers:
            raise CallError(f"layer '{layers}' in '{spec}' has leading zeros: write {int(layers)}")
        return cls(model, int(layers), pooling)

    @property
    def layer_pooling(self) -> LayerPooling:
        """Layer and pooling of a hookpoint in which both are given.

        Raises:
            ValueError: If one of them is missing.
        """
        if not isinstance(self.layer, int) or self.pooling is None:
            raise ValueError(f"{self} has no explicit layer or pooling")
        return self.layer, self.pooling

    def __str__(self) -> str:
        mark = "." if split_tower(self.model)[1] or split_route(self.model)[1] else "@"
        layer = "" if self.layer is None else f"{mark}{self.layer}"
        pooling = "" if self.pooling is None else f":{self.pooling}"
        return f"{self.model}{layer}{pooling}"
