"""A device's queue of work: how to time it, and to copy to and from it, without waiting for it.

On a CUDA device a call returns before its work is done. Whoever waits after every layer leaves the device idle in
between: times are taken by events in the queue, and a batch's states are copied as one block while the next batch runs.
"""

import math
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor

__all__ = ["CudaQueue", "HostQueue", "WaitingQueue", "queue_of"]

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")
_Fetch = Callable[[], dict[K, Tensor]]


class HostQueue:
    """The CPU, where a call returns when its work is done."""

    def __init__(self, device: torch.device) -> None:
        """Create the queue of a device."""
        self.device = device

    def mark(self) -> Any:
        """Return a point in time between the work before and after it."""
        return time.perf_counter()

    def seconds(self, earlier: Any, later: Any) -> float:
        """Return the time between two marks."""
        return float(later - earlier)

    def send(self, values: Tensor) -> Tensor:
        """Return a tensor of the host on the device."""
        return values.to(self.device)

    def fetch(self, states: Mapping[K, Tensor]) -> "_Fetch[K]":
        """Begin to copy states to the host; the function returned waits for them."""
        return lambda: dict(states)

    def delay(self, items: Iterable[T]) -> Iterator[T]:
        """Yield items, later by as many as the device needs to have work while the host uses them."""
        yield from items


class WaitingQueue(HostQueue):
    """An accelerator whose work is waited for."""

    def mark(self) -> Any:
        """Wait for the work so far, and return the time."""
        torch.accelerator.synchronize(self.device)
        return time.perf_counter()

    def fetch(self, states: Mapping[K, Tensor]) -> "_Fetch[K]":
        """Copy states to the host as one block."""
        copied = _split(_join(states).cpu(), {key: values.shape for key, values in states.items()})
        return lambda: copied


class CudaQueue(HostQueue):
    """A CUDA device."""

    def mark(self) -> Any:
        """Put an event into the queue."""
        event: Any = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
        event.record(torch.cuda.current_stream(self.device))
        return event

    def seconds(self, earlier: Any, later: Any) -> float:
        """Return the time between two events, once the device has reached them."""
        later.synchronize()
        return float(earlier.elapsed_time(later)) / 1000

    def send(self, values: Tensor) -> Tensor:
        """Return a tensor on the device; the copy from page-locked memory waits in the queue."""
        return self._lock(values).to(self.device, non_blocking=True)

    def fetch(self, states: Mapping[K, Tensor]) -> "_Fetch[K]":
        """Begin to copy states to page-locked memory as one block."""
        block = _join(states)
        shapes = {key: values.shape for key, values in states.items()}
        host = self._locked_memory(len(block)).copy_(block, non_blocking=True)
        done = self.mark()

        def wait() -> dict[K, Tensor]:
            """Return the states on the host."""
            done.synchronize()
            return _split(host, shapes)

        return wait

    def delay(self, items: Iterable[T]) -> Iterator[T]:
        """Yield each item after the next one was queued."""
        held: list[T] = []
        for item in items:
            held.append(item)
            if len(held) > 1:
                yield held.pop(0)
        yield from held

    def _lock(self, values: Tensor) -> Tensor:
        return values.pin_memory()

    def _locked_memory(self, length: int) -> Tensor:
        return torch.empty(length, pin_memory=True)


def _join(states: Mapping[K, Tensor]) -> Tensor:
    """Return all values of states of any shapes as one float32 block."""
    return torch.cat([values.reshape(-1).float() for values in states.values()])


def _split(block: Tensor, shapes: Mapping[K, torch.Size]) -> dict[K, Tensor]:
    """Return the parts of a block in the shapes of the states it was joined from."""
    parts = torch.split(block, [math.prod(shape) for shape in shapes.values()])
    return {key: part.view(shape) for (key, shape), part in zip(shapes.items(), parts, strict=True)}


def queue_of(device: torch.device) -> HostQueue:
    """Return the queue of a device."""
    if device.type == "cpu":
        return HostQueue(device)
    return (CudaQueue if device.type == "cuda" else WaitingQueue)(device)
