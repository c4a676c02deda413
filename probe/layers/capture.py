"""Capture: hook layers, pool inside the hook, stop after the deepest requested layer."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from types import TracebackType
from typing import Any

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from probe.errors import ModelError
from probe.layers.device_queue import HostQueue, queue_of
from probe.layers.hookpoint import LayerPooling
from probe.layers.layer_stack import LayerStack, block_input, first_tensor
from probe.layers.pooling import POOLINGS, Pooling
from probe.layers.products import fast_products
from probe.layers.unchanged import unchanged

__all__ = ["Capture", "StopForward"]


class StopForward(Exception):
    """Raised by a hook of a `Capture` to end the forward early; caught only by that capture."""

    def __init__(self, capture: "Capture") -> None:
        """Create the exception for a capture whose deepest layer has been read."""
        super().__init__("stopped after the deepest wanted layer")
        self.capture = capture


class Capture:
    """Context manager that reads pooled states at any layers of a model.

    The hooks exist from `__enter__` to `__exit__`. Every requested layer is pooled as soon as it is computed, so memory
    is layers x batch x dimension and never holds the token states of two layers (except for token poolings, used for
    a batch of queries).

        with Capture(model, stack, {3: ("mean",), 6: ("mean", "cls")}) as capture:
            states = capture.run(inputs)  # {(3, "mean"): (B, D), ...}

    Layer `k` is read at the input of block `k + 1` (the last one at the output of the last block). This equals
    `hidden_states[k]` even if a model changes states between blocks.
    """

    def __init__(
        self,
        model: nn.Module,
        stack: LayerStack,
        wanted: Mapping[int, Sequence[str]],
        *,
        pooling_at: Callable[[LayerPooling], Pooling] = lambda layer_pooling: POOLINGS[layer_pooling[1]],
        forward: Callable[[dict[str, Any]], object] | None = None,
    ) -> None:
        """Create a capture without registering hooks.

        Args:
            model: The whole model.
            stack: Its layer stack.
            wanted: Requested poolings by layer.
            pooling_at: Returns the pooling function of a name at a layer.
            forward: Runs the model on a batch's inputs; default: the model itself.
        """
        self._model = model
        self._forward = forward or (lambda inputs: model(**inputs))
        self._stack = stack
        self._wanted = dict(wanted)
        self._pooling_at = pooling_at
        self._deepest = max(self._wanted)
        self._handles: list[RemovableHandle] = []
        self._mask: Tensor | None = None
        self._states: dict[tuple[int, str], Tensor] = {}
        self._queue: HostQueue | None = None
        self._started: Any = None
        # Per batch, every layer that was read with the marks between which it and the blocks below it ran.
        self._laps: list[list[tuple[int, Any, Any]]] = []
        self._seconds: dict[int, float] = dict.fromkeys(self._wanted, 0.0)

    def __enter__(self) -> "Capture":
        try:
            for layer in self._wanted:
                self._handles.append(self._hook(layer))
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()

    def _remove(self) -> None:
        while self._handles:
            self._handles.pop().remove()

    def _hook(self, layer: int) -> RemovableHandle:
        blocks = self._stack.blocks
        if layer == self._stack.depth:
            last = self._stack.joint or blocks[-1]
            return last.register_forward_hook(lambda m, args, output: self._read(layer, first_tensor(output)))
        return blocks[layer].register_forward_pre_hook(
            lambda m, args, kwargs: self._read(layer, block_input(args, kwargs)), with_kwargs=True
        )

    @property
    def seconds(self) -> dict[int, float]:
        """Time from the start of the forward to each layer, summed over the batches; waits for the device."""
        queue = self._queue
        while queue is not None and self._laps:
            total = 0.0
            for layer, started, read in self._laps.pop():
                total += queue.seconds(started, read)
                self._seconds[layer] += total
        return self._seconds

    def _read(self, layer: int, hidden: Tensor) -> None:
        if self._mask is None or self._queue is None:
            return
        self._laps[-1].append((layer, self._started, self._queue.mark()))
        self._pool(layer, hidden)
        if layer == self._deepest:
            raise StopForward(self)
        # Pooling is not part of the encoder's cost, so its time is excluded.
        self._started = self._queue.mark()

    def _pool(self, layer: int, hidden: Tensor) -> None:
        mask = self._mask
        if hidden.ndim == 3 and mask is not None:
            # Longformer and similar models pad to full blocks inside their forward, on the right.
            hidden = hidden[:, : mask.shape[1]]
        if hidden.ndim != 3 or mask is None or hidden.shape[:2] != mask.shape:
            raise ModelError(f"layer {layer} has the shape {tuple(hidden.shape)}, expected (texts, tokens, width)")
        if self._stack.final_norm is not None:
            hidden = self._stack.final_norm(hidden)
        hidden = hidden.float()
        for name in self._wanted[layer]:
            self._states[layer, name] = self._pooling_at((layer, name))(hidden, mask)

    def run(self, inputs: Mapping[str, Any]) -> dict[tuple[int, str], Tensor]:
        """Run one batch up to the deepest requested layer.

        Args:
            inputs: Keyword arguments of the model's forward, including `attention_mask` `(B, T)`.

        Returns:
            Float32 states `(B, D)` by layer and pooling.

        Raises:
            ModelError: If a requested layer did not run or has no token states.
        """
        if not self._handles:
            raise RuntimeError("a Capture can be used only inside its with block")
        self._states = {}
        self._mask = inputs["attention_mask"]
        device = inputs["attention_mask"].device
        self._queue = queue_of(device)
        self._laps.append([])
        self._started = self._queue.mark()
        try:
            with fast_products(device), unchanged(self._model) if self._stack.restless else nullcontext():
                self._forward(dict(inputs))
        except StopForward as stop:
            if stop.capture is not self:
                raise
        finally:
            self._mask = None
        missing = [layer for layer in self._wanted if not any(key[0] == layer for key in self._states)]
        if missing:
            raise ModelError(f"layers {missing} did not run in the forward of {type(self._model).__name__}")
        states, self._states = self._states, {}
        return states
