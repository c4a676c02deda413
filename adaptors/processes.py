"""Several processes at one training, as `torchrun` and `accelerate launch` start them; mostly there is one."""

import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed
from accelerate import PartialState  # type: ignore[import-untyped]
from torch import Tensor

__all__ = ["count", "gather", "is_first", "join", "leave", "on_first", "place", "wait"]

T = TypeVar("T")

# The others wait while the first one mines or ranks, however long that takes.
_PATIENCE = timedelta(days=7)


def join() -> None:
    """Meet the other processes, where there are some."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not torch.distributed.is_initialized():
        PartialState(cpu=not torch.cuda.is_available(), timeout=_PATIENCE)


def leave() -> None:
    """Part from the other processes."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def count() -> int:
    """Return how many processes have met."""
    return torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1


def place() -> int:
    """Return which of them this one is, from 0 on."""
    return torch.distributed.get_rank() if torch.distributed.is_initialized() else 0


def is_first() -> bool:
    """Return whether this is the one that writes and tells."""
    return place() == 0


def wait() -> None:
    """Go on when every process is here."""
    if count() > 1:
        torch.distributed.barrier()


def on_first(make: Callable[[], T]) -> T:
    """Return what one process makes, in all of them.

    Args:
        make: Called in the first process alone; what it returns or raises must be picklable.

    Returns:
        The same value everywhere.

    Raises:
        Exception: What `make` raised, in every process.
    """
    if count() == 1:
        return make()
    told: list[Any] = [None, None]
    if is_first():
        try:
            told[0] = make()
        except Exception as error:  # raised below, everywhere
            told[1] = error
    torch.distributed.broadcast_object_list(told, src=0)
    if told[1] is not None:
        raise told[1]
    value: T = told[0]
    return value


class _Gather(torch.autograd.Function):
    """The rows of all processes; the gradient of a row is the sum of what all processes have for it."""

    @staticmethod
    def forward(ctx: Any, part: Tensor) -> Tensor:
        """Return all rows."""
        parts = [torch.empty_like(part) for _ in range(count())]
        torch.distributed.all_gather(parts, part.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """Return the gradient of this process's rows."""
        total = gradient.contiguous().clone()
        torch.distributed.all_reduce(total)
        return total.chunk(count())[place()]


def gather(part: Tensor) -> Tensor:
    """Return the rows of all processes, in their order; gradients go back to the process a row is from.

    Args:
        part: This one's `(B, ...)`, of one shape in all processes.

    Returns:
        `(N B, ...)` for N processes.
    """
    found: Tensor = _Gather.apply(part)  # type: ignore[no-untyped-call]
    return found
