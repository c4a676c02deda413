"""Float32 arithmetic with the weights of a model in half precision, without a copy of the model in float32."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding
from torch.overrides import TorchFunctionMode

__all__ = ["full_precision", "is_half"]

_HALF = (torch.bfloat16, torch.float16)
_TO_HALF = (Tensor.half, Tensor.bfloat16)


def is_half(dtype: torch.dtype) -> bool:
    """Return whether a dtype is float16 or bfloat16."""
    return dtype in _HALF


@contextmanager
def full_precision(model: nn.Module) -> Iterator[None]:
    """Compute in float32 within the block, whatever the dtype of a model on the CPU; its weights stay as they are.

    Comparisons of a model with itself then find what differs in its structure, not what half precision rounds. On other
    devices nothing changes: some of their kernels know half precision only.
    """
    first = next(model.parameters(), None)
    if first is None or first.device.type != "cpu" or not any(is_half(one.dtype) for one in model.parameters()):
        yield
        return
    with _FullPrecision():
        yield


class _FullPrecision(TorchFunctionMode):
    """Converts every argument in half precision, for as long as a function runs."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        named = kwargs or {}
        if _keeps_arguments(func):
            return func(*args, **named)
        if func is embedding:  # its table is large, and only a few rows are read
            return _convert(func(*args, **named))
        if func in _TO_HALF:
            return args[0].float()
        return func(*_convert(args), **_convert(named))


def _keeps_arguments(func: Callable[..., Any]) -> bool:
    """Return whether a function needs the tensors themselves: an attribute, a gradient, a change in place."""
    name = getattr(func, "__name__", "")
    return (
        func is torch.autograd.grad
        or name in ("__get__", "__set__", "__setitem__")
        or (name.endswith("_") and not name.endswith("__"))
    )


def _convert(value: Any) -> Any:
    """Return a value with float32 in place of half precision, in tensors and as a dtype."""
    if isinstance(value, Tensor):
        return value.float() if is_half(value.dtype) else value
    if isinstance(value, torch.dtype):
        return torch.float32 if is_half(value) else value
    if type(value) in (list, tuple):
        return type(value)(map(_convert, value))
    return {name: _convert(one) for name, one in value.items()} if type(value) is dict else value
