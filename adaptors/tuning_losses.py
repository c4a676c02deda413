"""The losses an encoder can be tuned with, by name: sentence-transformers' own, and ours where it has none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from adaptors.tuning_columns import Layout
from adaptors.tuning_factories import Make, MakeAround
from probe.errors import CallError

if TYPE_CHECKING:
    from torch import nn

__all__ = ["LossOptions", "TuningLoss", "Wrapper", "make_tuning_loss"]

_T = TypeVar("_T")


@dataclass(frozen=True)
class LossOptions:
    """What may be set of a loss; what is left out is the loss's own.

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
        """Return the names of what is set."""
        return {name for name, value in vars(self).items() if value is not None and value != ()}


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
    """What goes around a loss for tuning; the data form is that of the loss inside.

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


def make_tuning_loss(name: str, model: Any, options: LossOptions, around: Sequence[str] = ()) -> "nn.Module":
    """Return a loss of a model.

    Args:
        name: One of `TUNING_LOSSES`.
        model: The SentenceTransformer that is trained.
        options: What is set of the loss and of what goes around it.
        around: Names out of `WRAPPERS`, the innermost first.

    Returns:
        The loss, as sentence-transformers' trainer takes it.

    Raises:
        CallError: There is no such loss, an option is missing or nobody has it, or the parts do not go together.
    """
    from adaptors.tuning_catalog import TUNING_LOSSES, WRAPPERS

    chosen = _find(name, TUNING_LOSSES, "loss")
    wrappers = [_find(one, WRAPPERS, "wrapper of losses") for one in around]
    _check_options([chosen, *wrappers], options)
    _check_dims(options.dims, model.get_embedding_dimension())
    loss = chosen.make(model, options)
    for wrapper in wrappers:
        if getattr(loss, "uses_gradient_cache", False) and not wrapper.cacheable:
            raise CallError(f"{wrapper.name} cannot go around '{name}', which has a gradient cache: take one without")
        loss = wrapper.make(model, loss, options)
    return loss


def _check_dims(dims: Sequence[int], width: int) -> None:
    for dim in dims:
        if not 1 <= dim <= width:
            raise CallError(f"dims {dim} is out of range: the model has {width}")


def _find(name: str, known: Mapping[str, _T], what: str) -> _T:
    if name not in known:
        raise CallError(f"unknown {what} '{name}': expected one of {', '.join(known)}")
    return known[name]


def _check_options(parts: Sequence[TuningLoss | Wrapper], options: LossOptions) -> None:
    names = " and ".join(part.name for part in parts)
    for part in parts:
        if missing := sorted(part.needs - options.given()):
            raise CallError(f"{part.name} needs {', '.join(missing)}")
    unused = options.given() - frozenset().union(*(part.options | part.needs for part in parts))
    if unused:
        raise CallError(f"{names} has no {', '.join(sorted(unused))}: leave it out")
    for option in ("temperature", "mini_batch"):
        if (value := getattr(options, option)) is not None and value <= 0:
            raise CallError(f"{option} {value} is out of range: expected more than 0")
