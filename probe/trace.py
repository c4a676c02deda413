"""Watch which modules run in a forward, in which order, and what each is given and makes."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from torch import nn

__all__ = ["Trace"]


class Trace:
    """What a forward showed.

    Attributes:
        made: By name of a module that ran, what it made.
    """

    def __init__(self) -> None:
        """Begin with nothing seen."""
        self.made: dict[str, Any] = {}
        # Modules that began, in order, with how many had ended by then.
        self._begun: dict[str, int] = {}
        self._ended: list[str] = []

    @contextmanager
    def watching(self, module: nn.Module) -> Iterator[None]:
        """Watch the modules inside `module` for the length of a with-block."""
        with ExitStack() as hooks:
            for name, inner in module.named_modules():
                if name:
                    hooks.callback(inner.register_forward_pre_hook(partial(self._begin, name)).remove)
                    hooks.callback(inner.register_forward_hook(partial(self._end, name)).remove)
            yield

    def _begin(self, name: str, module: nn.Module, args: tuple[Any, ...]) -> None:
        self._begun[name] = len(self._ended)

    def _end(self, name: str, module: nn.Module, args: tuple[Any, ...], made: Any) -> None:
        self._ended.append(name)
        self.made[name] = made

    def begun_after(self, last: str) -> list[str]:
        """Return the outermost modules that began after `last` had ended, in order."""
        place = self._ended.index(last)
        return _outermost([name for name, ended in self._begun.items() if ended > place])

    def unread(self, module: nn.Module) -> tuple[str, ...]:
        """Return the parameters inside `module` that belong to nothing that ran."""
        names = [name for name, _ in module.named_parameters()]
        return tuple(name for name in names if not any(name.startswith(f"{ran}.") for ran in self.made))


def _outermost(names: list[str]) -> list[str]:
    return [name for name in names if not any(name.startswith(f"{other}.") for other in names)]
