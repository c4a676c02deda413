"""Run a model and leave it as it was found, whatever its forward does to it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from probe.layers.random_states import kept_random_states

__all__ = ["unchanged"]

# What torch keeps in every module for itself; hooks that are set meanwhile are their owners' to remove.
_TORCHS_OWN = frozenset(vars(nn.Module())) - {"training", "_parameters", "_buffers", "_modules"}
_CONTAINERS = (dict, list, set)


@contextmanager
def unchanged(model: nn.Module) -> Iterator[list[str]]:
    """Undo, when the with-block ends, what forwards did to a model: other attributes, caches, modules and buffers.

    BigBird replaces its attention for good once it has seen a short text: without this, a vector would depend on the
    texts that came before. The random generators are left as they were, too, since models seed them.

    Args:
        model: Any model; its parameters are not looked at, as no forward changes them.

    Yields:
        A list that is empty until the block ends, and then names the classes of what had changed.
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
    """Return every attribute of a module or config, with a copy of what it holds where that can change in place."""
    return {
        name: (value, value.copy() if isinstance(value, _CONTAINERS) else None)
        for name, value in vars(owner).items()
        if not _is_torchs(owner, name)
    }


def _is_torchs(owner: Any, name: str) -> bool:
    return isinstance(owner, nn.Module) and name in _TORCHS_OWN


def _restore(owner: Any, attributes: dict[str, tuple[Any, Any]]) -> bool:
    """Give an owner its attributes back; return whether any had changed."""
    now = vars(owner)
    new = [name for name in now if name not in attributes and not _is_torchs(owner, name)]
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
    """Whether a container holds the very objects of its copy; tensors are never compared by value."""
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
