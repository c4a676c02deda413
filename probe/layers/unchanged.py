"""Running a model without leaving changes in it, even if its forward modifies it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from probe.layers.random_states import kept_random_states

__all__ = ["unchanged"]

# Attributes that torch keeps in every module; hooks set in the meantime are left to their owners.
_TORCHS_OWN = frozenset(vars(nn.Module())) - {"training", "_parameters", "_buffers", "_modules"}
_CONTAINERS = (dict, list, set)


@contextmanager
def unchanged(model: nn.Module) -> Iterator[list[str]]:
    """Undo all changes that forwards make to a model (attributes, caches, modules, buffers) when the block ends.

    BigBird replaces its attention permanently after a short text: without this, vectors would depend on earlier texts.
    The random generators are restored too, since some models seed them.

    Args:
        model: Any model; its parameters are not checked, since no forward changes them.

    Yields:
        A list, filled at the end of the block with the class names of changed objects.
    """
    before = [(owner, _remember(owner)) for owner in _owners(model)]
    copies = [(buffer, buffer.detach().clone()) for buffer in model.buffers()]
    changed: list[str] = []
    try:
        with kept_random_states():
            yield changed
    finally:
        changed += [type(owner).__name__ for owner, attributes in before if _restore(owner, attributes)]
        changed += [type(buffer).__name__ for buffer, value in copies if _write_back(buffer, value)]


def _owners(model: nn.Module) -> Iterator[Any]:
    configs: dict[int, Any] = {}
    for module in model.modules():
        yield module
        config = vars(module).get("config")
        if hasattr(config, "__dict__"):
            configs[id(config)] = config
    yield from configs.values()


def _remember(owner: Any) -> dict[str, tuple[Any, Any]]:
    """Return all attributes of a module or config, with copies of those that can change in place."""
    now = vars(owner)
    return {
        name: (value, value.copy() if isinstance(value, _CONTAINERS) else None)
        for name, value in ((name, now[name]) for name in _own_names(owner))
    }


def _own_names(owner: Any) -> set[str]:
    """Return the names of all attributes but those that torch keeps in every module."""
    # A difference of sets, because this runs for every module of a model at every text of a check.
    return vars(owner).keys() - _TORCHS_OWN if isinstance(owner, nn.Module) else set(vars(owner))


def _restore(owner: Any, attributes: dict[str, tuple[Any, Any]]) -> bool:
    """Restore an object's attributes; return whether any had changed."""
    now = vars(owner)
    new = _own_names(owner) - attributes.keys()
    for name in new:
        del now[name]
    changed = bool(new)
    for name, (value, content) in attributes.items():
        if now.get(name, attributes) is not value:
            now[name] = value
            changed = True
        if content is not None and not _holds(value, content):
            _refill(value, content)
            changed = True
    return changed


def _holds(container: Any, content: Any) -> bool:
    """Return whether a container holds the same objects as its copy; tensors are compared by identity."""
    if isinstance(container, set):
        return bool(container == content)
    if len(container) != len(content):
        return False
    if isinstance(container, dict):
        return all(name in container and container[name] is value for name, value in content.items())
    return all(one is other for one, other in zip(container, content, strict=True))


def _refill(container: Any, content: Any) -> None:
    container.clear()
    if isinstance(container, list):
        container.extend(content)
    else:
        container.update(content)


@torch.no_grad()
def _write_back(buffer: Tensor, value: Tensor) -> bool:
    if torch.equal(buffer, value):
        return False
    buffer.copy_(value)
    return True
