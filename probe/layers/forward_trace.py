"""Tracing of the modules that run in a forward: their order, inputs and outputs."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, NamedTuple

from torch import nn

__all__ = ["ForwardTrace", "ModuleCall", "outermost"]


class ModuleCall(NamedTuple):
    """The last call of a module.

    Attributes:
        args: Positional arguments.
        output: Output.
    """

    args: tuple[Any, ...]
    output: Any


class ForwardTrace:
    """The modules that ran in a forward.

    Attributes:
        calls: The last call of each module that ran, by name.
    """

    def __init__(self) -> None:
        """Create an empty trace."""
        self.calls: dict[str, ModuleCall] = {}
        # Modules that started, with the number of modules finished at their first start.
        self._begun: dict[str, int] = {}
        self._ended: list[str] = []

    @contextmanager
    def watching(self, module: nn.Module) -> Iterator[None]:
        """Trace the modules inside `module` within a with block."""
        with ExitStack() as hooks:
            for name, inner in module.named_modules():
                if name:
                    hooks.callback(inner.register_forward_pre_hook(partial(self._begin, name)).remove)
                    hooks.callback(inner.register_forward_hook(partial(self.end, name)).remove)
            yield

    def _begin(self, name: str, module: nn.Module, args: tuple[Any, ...]) -> None:
        self._begun.setdefault(name, len(self._ended))

    def end(self, name: str, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        """Record the end of a module call; called by torch."""
        self._ended.append(name)
        self.calls[name] = ModuleCall(args, output)

    def ran_after(self, last: str) -> list[str]:
        """Return the modules first started after `last` finished, inner ones included, in the order they finished."""
        position = self._ended.index(last)
        return [name for name in dict.fromkeys(self._ended) if self._begun[name] > position]

    def ended_after(self, last: str) -> list[str]:
        """Return the modules whose last call finished after that of `last`, in the order they finished."""
        position = len(self._ended) - 1 - self._ended[::-1].index(last)
        return list(dict.fromkeys(self._ended[position + 1 :]))

    def unread(self, module: nn.Module) -> tuple[str, ...]:
        """Return the parameters inside `module` that belong to no module that ran."""
        names = [name for name, _ in module.named_parameters()]
        return tuple(name for name in names if not any(name.startswith(f"{ran}.") for ran in self.calls))


def outermost(names: Sequence[str]) -> list[str]:
    """Return the names that are not inside another one."""
    return [name for name in names if not any(name.startswith(f"{other}.") for other in names)]
