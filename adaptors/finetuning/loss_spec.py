"""Entries of the list of tuning losses: formula, data, source, and construction."""

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
    """Settings of a loss; those not given have the loss's own default.

    Attributes:
        temperature: Divides similarities.
        margin: Margin between positives and negatives, in the units of the loss.
        dims: Prefix lengths of Matryoshka losses.
        guide: A model that filters false negatives, for GIST losses.
        mini_batch: Texts per forward pass with a gradient cache (GradCache), for large batches.
        symmetric: Whether documents are contrasted with all queries as well.
        weight: Weight of a regularizer.
    """

    temperature: float | None = None
    margin: float | None = None
    dims: tuple[int, ...] = ()
    guide: Any = None
    mini_batch: int | None = None
    symmetric: bool = False
    weight: float | None = None

    def __post_init__(self) -> None:
        """Accept a single prefix length, or any sequence of them."""
        dims: Any = self.dims
        object.__setattr__(self, "dims", (dims,) if isinstance(dims, int) else tuple(dims))

    def given(self) -> set[str]:
        """Return the names of the given settings."""
        return {name for name, value in vars(self).items() if value is not None and value is not False and value != ()}


@dataclass(frozen=True)
class LossEntry:
    """A loss in the list.

    Attributes:
        name: Its name.
        formula: In plain text; s is the cosine, q a query, d its document, n a negative, t the temperature, L the
            inner loss.
        source: Publication.
        factory: Its class with its module; a bare name is a class of sentence-transformers.
        options: Its options, each with the matching argument of the class; `scale` is 1 / temperature, an empty
            argument means that several arguments depend on the option.
        needs: Required options.
        fixed: Further arguments; a function is called with sentence-transformers' module of losses.
        theirs: Whether it is listed as a loss of sentence-transformers.
    """

    name: str
    formula: str
    source: str
    factory: str
    options: Mapping[str, str] = field(default_factory=dict)
    needs: frozenset[str] = frozenset()
    fixed: Mapping[str, Any] = field(default_factory=dict)
    theirs: bool = True

    @property
    def class_name(self) -> str:
        """The name of its class."""
        return self.factory.rpartition(".")[2]

    def make(self, options: LossOptions, *parts: Any) -> "nn.Module":
        """Return the loss of a model, or of a model and an inner loss for wrappers."""
        library = import_module(_LIBRARY)
        arguments = {key: value(library) if callable(value) else value for key, value in self._fixed(options).items()}
        for option in options.given() & self.options.keys():
            argument, value = self.options[option], getattr(options, option)
            if argument:
                arguments[argument] = 1 / value if argument == "scale" else value
        home, _, name = self._class(options).rpartition(".")
        loss: nn.Module = getattr(import_module(home) if home else library, name)(*parts, **arguments)
        return loss

    def _class(self, options: LossOptions) -> str:
        """Return the class for some settings."""
        return self.factory

    def _fixed(self, options: LossOptions) -> Mapping[str, Any]:
        """Return the arguments for some settings, in addition to those of single options."""
        return self.fixed


@dataclass(frozen=True, kw_only=True)
class TuningLoss(LossEntry):
    """A loss for tuning.

    Attributes:
        layout: The required columns.
        cached: Class of the same loss with a gradient cache, for `mini_batch`.
        cached_fixed: Further arguments of that class.
        symmetric: Arguments for the symmetric form.
    """

    layout: Layout
    cached: str = ""
    cached_fixed: Mapping[str, Any] = field(default_factory=dict)
    symmetric: Mapping[str, Any] = field(default_factory=dict)

    def _class(self, options: LossOptions) -> str:
        return self.cached if self.cached and options.mini_batch is not None else self.factory

    def _fixed(self, options: LossOptions) -> Mapping[str, Any]:
        has_cache = self.cached and options.mini_batch is not None
        return {
            **self.fixed,
            **(self.cached_fixed if has_cache else {}),
            **(self.symmetric if options.symmetric else {}),
        }


@dataclass(frozen=True, kw_only=True)
class Wrapper(LossEntry):
    """A wrapper of a tuning loss; it requires the same data as the inner loss.

    Attributes:
        over: Repeats the loss over `prefixes` of the vectors or `layers`; empty if it adds a penalty.
    """

    over: frozenset[str] = frozenset()

    @property
    def reads_blocks(self) -> bool:
        """Whether it reads the states of the blocks, which the forward pass of whole batches alone has."""
        return "layers" in self.over
