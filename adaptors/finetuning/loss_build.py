"""Build a loss for tuning by its name, with its wrappers."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from adaptors.finetuning.loss_catalog import find_loss, find_wrapper
from adaptors.finetuning.loss_spec import LossEntry, LossOptions, Wrapper
from probe.errors import CallError, check_number

if TYPE_CHECKING:
    from torch import nn

__all__ = ["make_tuning_loss"]


def make_tuning_loss(name: str, model: Any, options: LossOptions, *, wrap: Sequence[str] = ()) -> "nn.Module":
    """Return a loss of a model.

    Args:
        name: One of `TUNING_LOSSES`, or its class in sentence-transformers.
        model: The SentenceTransformer to train.
        options: Settings of the loss and of its wrappers.
        wrap: Names from `WRAPPERS` or their classes, innermost first.

    Returns:
        The loss, for sentence-transformers' trainer.

    Raises:
        CallError: The loss does not exist, an option is missing or unused by all parts, or the parts are incompatible.
    """
    chosen, implied = find_loss(name)
    options = replace(options, **{key: value for key, value in implied.items() if key not in options.given()})
    wrappers = [find_wrapper(one) for one in wrap]
    _check_order(wrappers)
    _check_options([chosen, *wrappers], options)
    _check_dims(options.dims, model.get_embedding_dimension())
    loss = chosen.make(options, model)
    for wrapper in wrappers:
        if getattr(loss, "uses_gradient_cache", False) and wrapper.reads_blocks:
            raise CallError(f"{wrapper.name} cannot wrap '{name}' with a gradient cache: leave out --mini-batch")
        loss = wrapper.make(options, model, loss)
    return loss


def _check_order(wrappers: Sequence[Wrapper]) -> None:
    """Reject wrappers that repeat the loss over the same dimension twice, or over prefixes outside of layers."""
    for outer, inner in ((outer, inner) for number, outer in enumerate(wrappers) for inner in wrappers[:number]):
        if outer is inner:
            raise CallError(f"'{outer.name}' wraps the loss twice: expected each wrapper once")
        if twice := outer.over & inner.over:
            names = f"'{inner.name}' and '{outer.name}'"
            raise CallError(f"{names} both repeat the loss over {' and '.join(twice)}: leave one of them out")
        if "prefixes" in outer.over and "layers" in inner.over:
            raise CallError(f"'{outer.name}' cannot wrap '{inner.name}': put it first in the list, as the innermost")


def _check_dims(dims: Sequence[int], width: int) -> None:
    for dim in dims:
        if not 1 <= dim <= width:
            raise CallError(f"--dims {dim} is out of range: the model has {width}")


def _check_options(parts: Sequence[LossEntry], options: LossOptions) -> None:
    names = " and ".join(part.name for part in parts)
    for part in parts:
        if missing := sorted(part.needs - options.given()):
            raise CallError(f"{part.name} needs {', '.join(map(_option, missing))}")
    unused = options.given() - frozenset().union(*(part.options.keys() for part in parts))
    if unused:
        raise CallError(f"{', '.join(map(_option, sorted(unused)))} does nothing with {names}: leave it out")
    for option in ("temperature", "mini_batch", "weight"):
        check_number(_option(option), getattr(options, option), above=0)
    check_number("--margin", options.margin)


def _option(name: str) -> str:
    """Return the command-line option of a setting."""
    return f"--{name.replace('_', '-')}"
