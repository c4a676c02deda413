"""How the losses for tuning are made; nothing heavy is imported before one is."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

    from adaptors.tuning_losses import LossOptions

__all__ = ["Make", "MakeAround", "ours", "ours_around", "theirs", "theirs_around"]

Make = Callable[[Any, "LossOptions"], "nn.Module"]
MakeAround = Callable[[Any, "nn.Module", "LossOptions"], "nn.Module"]

# Names of options as sentence-transformers has them; its scale is one over the temperature.
_THEIR_NAMES = {"mini_batch": "mini_batch_size"}


def theirs(name: str, options: Mapping[str, str] | None = None, **fixed: Any) -> Make:
    """Return a factory of one of sentence-transformers' losses.

    Args:
        name: Of its class.
        options: Its name for an option of ours, where it is another.
        fixed: Further arguments; what comes as a function of the module of losses is called with it.
    """

    def make(model: Any, given: "LossOptions") -> "nn.Module":
        """Make it."""
        losses = _their_losses()
        named = {key: value(losses) if callable(value) else value for key, value in fixed.items()}
        loss: nn.Module = getattr(losses, name)(
            model, **{**named, **_arguments(given, options or {}, ("dims", "weight"))}
        )
        return loss

    return make


def ours(home: str, name: str) -> Make:
    """Return a factory of one of our own losses, whose arguments have our names."""

    def make(model: Any, given: "LossOptions") -> "nn.Module":
        """Make it."""
        arguments = {key: getattr(given, key) for key in given.given() - {"dims", "weight", "guide", "mini_batch"}}
        loss: nn.Module = getattr(import_module(home), name)(model, **arguments)
        return loss

    return make


def theirs_around(name: str, with_dims: bool) -> MakeAround:
    """Return a factory of one of sentence-transformers' losses around another."""

    def make(model: Any, inner: "nn.Module", given: "LossOptions") -> "nn.Module":
        """Make it."""
        dims = {"matryoshka_dims": list(given.dims)} if with_dims else {}
        loss: nn.Module = getattr(_their_losses(), name)(model, inner, **dims)
        return loss

    return make


def ours_around(name: str) -> MakeAround:
    """Return a factory of one of our penalties."""

    def make(model: Any, inner: "nn.Module", given: "LossOptions") -> "nn.Module":
        """Make it."""
        from adaptors import collapse_guard

        weight = {} if given.weight is None else {"weight": given.weight}
        loss: nn.Module = getattr(collapse_guard, name)(model, inner, **weight)
        return loss

    return make


def _their_losses() -> Any:
    return import_module("sentence_transformers.sentence_transformer.losses")


def _arguments(given: "LossOptions", names: Mapping[str, str], without: tuple[str, ...]) -> dict[str, Any]:
    found = {}
    for option in given.given() - set(without):
        name = names.get(option, _THEIR_NAMES.get(option, option))
        value = getattr(given, option)
        found[name] = 1 / value if name == "scale" else value
    return found
