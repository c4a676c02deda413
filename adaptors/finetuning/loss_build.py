"""Build a loss for tuning by its name, with its wrappers."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from adaptors.finetuning.loss_catalog import TUNING_LOSSES, WRAPPERS
from adaptors.finetuning.loss_spec import LossEntry, LossOptions, Wrapper
from probe.errors import CallError, check_number

if TYPE_CHECKING:
    from torch import nn

__all__ = ["make_tuning_loss"]

_T = TypeVar("_T")


def make_tuning_loss(name: str, model: Any, options: LossOptions, *, around: Sequence[str] = ()) -> "nn.Module":
    """Return a loss of a model.

    Args:
        name: One of `TUNING_LOSSES`.
        model: The SentenceTransformer that is trained.
        options: Settings of the loss and of its wrappers.
        around: Names out of `WRAPPERS`, the innermost first.

    Returns:
        The loss, as sentence-transformers' trainer takes it.

    Raises:
        CallError: There is no such loss, an option is missing or unknown to all parts, or the parts do not go together.
    """
    chosen = _find(name, TUNING_LOSSES, "loss")
    wrappers = [_find(one, WRAPPERS, "wrapper of losses") for one in around]
    _check_order(wrappers)
    _check_options([chosen, *wrappers], options)
    _check_dims(options.dims, model.get_embedding_dimension())
    loss = chosen.make(options, model)
    for wrapper in wrappers:
        if getattr(loss, "uses_gradient_cache", False) and not wrapper.cacheable:
            raise CallError(f"{wrapper.name} cannot go around '{name}', which has a gradient cache: take one without")
        loss = wrapper.make(options, model, loss)
    return loss


def _check_order(wrappers: Sequence[Wrapper]) -> None:
    """Refuse wrappers that go twice over the same, or over prefixes of what already goes over layers."""
    for outer, inner in ((outer, inner) for number, outer in enumerate(wrappers) for inner in wrappers[:number]):
        if outer is inner:
            raise CallError(f"'{outer.name}' comes twice around the loss: expected each wrapper once")
        if twice := outer.over & inner.over:
            names = f"'{inner.name}' and '{outer.name}'"
            raise CallError(f"{names} both repeat the loss over {' and '.join(twice)}: leave one of them out")
        if "prefixes" in outer.over and "layers" in inner.over:
            raise CallError(
                f"'{outer.name}' cannot go around '{inner.name}': name it before, the innermost comes first"
            )


def _check_dims(dims: Sequence[int], width: int) -> None:
    for dim in dims:
        if not 1 <= dim <= width:
            raise CallError(f"dims {dim} is out of range: the model has {width}")


def _find(name: str, known: Mapping[str, _T], kind: str) -> _T:
    if name not in known:
        raise CallError(f"unknown {kind} '{name}': expected one of {', '.join(known)}")
    return known[name]


def _check_options(parts: Sequence[LossEntry], options: LossOptions) -> None:
    names = " and ".join(part.name for part in parts)
    for part in parts:
        if missing := sorted(part.needs - options.given()):
            raise CallError(f"{part.name} needs {', '.join(missing)}")
    unused = options.given() - frozenset().union(*(part.options.keys() for part in parts))
    if unused:
        raise CallError(f"{names} has no {', '.join(sorted(unused))}: leave it out")
    for option in ("temperature", "mini_batch", "weight"):
        check_number(option, getattr(options, option), above=0)
    check_number("margin", options.margin)
