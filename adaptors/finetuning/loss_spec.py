"""Entries of the list of losses for tuning: formula, data, source, and how each is made."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

from adaptors.rows.columns import Layout

if TYPE_CHECKING:
    from torch import nn

__all__ = ["LossEntry", "LossOptions", "TuningLoss", "Wrapper"]

_LIBRARY = "sentence_transformers.sentence_transformer.losses"


@dataclass(frozen=True)
class LossOptions:
    """Settings of a loss; the loss's own value holds where one is left out.

    Attributes:
        temperature: Divides similarities.
        margin: Between what is near and what is far, in the units of the loss.
        dims: Lengths of prefixes, for Matryoshka losses.
        guide: A model that finds false negatives, for GIST losses.
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


@dataclass(frozen=True)
class LossEntry:
    """A loss in the list.

    Attributes:
        name: Its name.
        formula: In plain text; s is the cosine, q a query, d its document, n a negative, t the temperature, L a loss
            inside.
        source: Where it was published.
        factory: Its class, with the module that it is in; a bare name is one of sentence-transformers.
        options: The options it has, each with the argument of the class for it; `scale` is one over the temperature.
        needs: The options it cannot do without.
        fixed: Further arguments; a function is called with sentence-transformers' module of losses.
        theirs: Whether it is listed as sentence-transformers' own.
    """

    name: str
    formula: str
    source: str
    factory: str
    options: Mapping[str, str] = field(default_factory=dict)
    needs: frozenset[str] = frozenset()
    fixed: Mapping[str, Any] = field(default_factory=dict)
    theirs: bool = True

    def make(self, options: LossOptions, *parts: Any) -> "nn.Module":
        """Return the loss of a model; of a model and the loss inside, where it goes around one."""
        library = import_module(_LIBRARY)
        home, _, name = self.factory.rpartition(".")
        arguments = {key: value(library) if callable(value) else value for key, value in self.fixed.items()}
        for option in options.given() & self.options.keys():
            argument, value = self.options[option], getattr(options, option)
            arguments[argument] = 1 / value if argument == "scale" else value
        loss: nn.Module = getattr(import_module(home) if home else library, name)(*parts, **arguments)
        return loss


@dataclass(frozen=True, kw_only=True)
class TuningLoss(LossEntry):
    """A loss for tuning.

    Attributes:
        layout: The columns it takes.
    """

    layout: Layout


@dataclass(frozen=True, kw_only=True)
class Wrapper(LossEntry):
    """A loss around a loss for tuning; the data form is that of the loss inside.

    Attributes:
        cacheable: Whether the loss inside may have a gradient cache.
        over: What it repeats the loss over, `prefixes` of the vectors or `layers`; nothing where it adds a penalty.
    """

    cacheable: bool = True
    over: frozenset[str] = frozenset()
