"""Entries of the list of losses for tuning: formula, data, source, and factory."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

from adaptors.rows.columns import Layout

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "LossOptions",
    "Make",
    "MakeAround",
    "TuningLoss",
    "Wrapper",
    "ours",
    "ours_around",
    "theirs",
    "theirs_around",
]


@dataclass(frozen=True)
class LossOptions:
    """Settings of a loss; the loss's own value holds where one is left out.

    Attributes:
        temperature: Divides similarities.
        margin: Between what is near and what is far, in the units of the loss.
        dims: Lengths of prefixes, for Matryoshka losses.
        guide: A model that tells false negatives, for GIST losses.
        mini_batch: Texts embedded at a time, for losses with a gradient cache.
        weight: Of a penalty.
    """

    temperature: float | None = None
    margin: float | None = None
    dims: tuple[int, ...] = ()
    guide: Any = None
    mini_batch: int | None = None
    weight: float | None = None

    def given(self) -> set[str]:
        """Return the names of the settings that are given."""
        return {name for name, value in vars(self).items() if value is not None and value != ()}


Make = Callable[[Any, LossOptions], "nn.Module"]
MakeAround = Callable[[Any, "nn.Module", LossOptions], "nn.Module"]


@dataclass(frozen=True)
class TuningLoss:
    """A loss for tuning.

    Attributes:
        name: What it is called.
        formula: In plain text; s is the cosine, q a query, d its document, n a negative, t the temperature.
        layout: The columns it takes.
        source: Where it was published.
        make: Makes it, given the model and options.
        options: The options it has.
        needs: The options it cannot do without.
        sampler: How sentence-transformers' trainer should put batches together.
        theirs: Whether it is sentence-transformers' own.
    """

    name: str
    formula: str
    layout: Layout
    source: str
    make: Make
    options: frozenset[str] = field(default_factory=frozenset)
    needs: frozenset[str] = field(default_factory=frozenset)
    sampler: str = "no_duplicates"
    theirs: bool = True


@dataclass(frozen=True)
class Wrapper:
    """A loss around a loss for tuning; the data form is that of the loss inside.

    Attributes:
        name: What it is called.
        formula: In plain text; L is the loss inside.
        source: Where it was published.
        make: Makes it, given the model, the loss inside and options.
        options: The options it has.
        needs: The options it cannot do without.
        cacheable: Whether the loss inside may have a gradient cache.
        theirs: Whether it is sentence-transformers' own.
    """

    name: str
    formula: str
    source: str
    make: MakeAround
    options: frozenset[str] = field(default_factory=frozenset)
    needs: frozenset[str] = field(default_factory=frozenset)
    cacheable: bool = True
    theirs: bool = True


_LOSSES = "sentence_transformers.sentence_transformer.losses"
# Names of options as sentence-transformers has them; its scale is one over the temperature.
_THEIR_NAMES = {"mini_batch": "mini_batch_size"}


def theirs(name: str, options: Mapping[str, str] | None = None, **fixed: Any) -> Make:
    """Return a factory of one of sentence-transformers' losses.

    Args:
        name: Of its class.
        options: Its name for an option of ours, where it is another.
        fixed: Further arguments; what comes as a function of the module of losses is called with it.
    """

    def make(model: Any, given: LossOptions) -> "nn.Module":
        """Make it."""
        losses = import_module(_LOSSES)
        named = {key: value(losses) if callable(value) else value for key, value in fixed.items()}
        for option in given.given() - {"dims", "weight"}:
            key, value = {**_THEIR_NAMES, **(options or {})}.get(option, option), getattr(given, option)
            named[key] = 1 / value if key == "scale" else value
        loss: nn.Module = getattr(losses, name)(model, **named)
        return loss

    return make


def ours(home: str, name: str) -> Make:
    """Return a factory of one of our own losses, whose arguments have our names."""

    def make(model: Any, given: LossOptions) -> "nn.Module":
        """Make it."""
        arguments = {key: getattr(given, key) for key in given.given() - {"dims", "weight", "guide", "mini_batch"}}
        loss: nn.Module = getattr(import_module(home), name)(model, **arguments)
        return loss

    return make


def theirs_around(name: str, with_dims: bool) -> MakeAround:
    """Return a factory of one of sentence-transformers' losses around another."""

    def make(model: Any, inner: "nn.Module", given: LossOptions) -> "nn.Module":
        """Make it."""
        dims = {"matryoshka_dims": list(given.dims)} if with_dims else {}
        loss: nn.Module = getattr(import_module(_LOSSES), name)(model, inner, **dims)
        return loss

    return make


def ours_around(name: str) -> MakeAround:
    """Return a factory of one of our penalties."""

    def make(model: Any, inner: "nn.Module", given: LossOptions) -> "nn.Module":
        """Make it."""
        weight = {} if given.weight is None else {"weight": given.weight}
        loss: nn.Module = getattr(import_module("adaptors.losses.regularizers"), name)(model, inner, **weight)
        return loss

    return make
