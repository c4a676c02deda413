"""Detection of one tower of a two-tower model from its behaviour: its blocks and its embedding head."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from probe.errors import ModelError
from probe.layers.forward_trace import ForwardTrace, outermost
from probe.layers.hookpoint import HEAD
from probe.layers.layer_stack import LayerStack, first_tensor
from probe.layers.pooling import POOLINGS, Pooling

__all__ = ["Tower", "TowerModule", "find_tower"]

# Maximum relative difference between an embedding and its reconstruction from the detected parts.
_TOLERANCE = 1e-4
# Errors raised by modules on inputs of an unexpected shape.
_MISFITS = (RuntimeError, ValueError, TypeError, IndexError, AssertionError, ModelError)


class TowerModule(nn.Module):
    """One tower of a model, run through the model's own method."""

    def __init__(self, model: nn.Module, tower: str) -> None:
        """Wrap the `image` or `text` tower of a model.

        Raises:
            ModelError: If the model cannot embed such inputs.
        """
        super().__init__()
        self.model = model
        self.tower = tower
        self.config: Any = model.config
        if not callable(getattr(model, f"get_{tower}_features", None)):
            raise ModelError(
                f"{type(model).__name__} has no get_{tower}_features, so it cannot embed {tower}s separately"
            )

    def forward(self, **inputs: Tensor) -> Tensor:
        """Return the embeddings `(B, P)` of `pixel_values` `(B, 3, H, W)`, or of `input_ids` `(B, T)`.

        The mask of an image's tokens (all ones) is for the readers of the layers.
        """
        if self.tower == "image":
            inputs = {"pixel_values": inputs["pixel_values"]}
        made: Any = getattr(self.model, f"get_{self.tower}_features")(**inputs)
        return made if isinstance(made, Tensor) else first_tensor(made.pooler_output)


@dataclass(frozen=True)
class Tower:
    """One tower.

    Attributes:
        stack: Its blocks; the final norm is applied at every layer, as in a cut tower.
        pooling: Its own pooling: a standard one, or `head`, a module of the model.
        steps: Modules from the pooled state to the embedding; the first one may itself pool token states.
        tokens: Number of tokens its blocks pass on; for texts, the number of input tokens.
        width: P, the dimension of its embeddings.
    """

    stack: LayerStack
    pooling: str
    steps: tuple[nn.Module, ...]
    tokens: int
    width: int

    def pooling_at(self, name: str) -> Pooling:
        """Return the function from normed token states to embeddings `(B, P)`, including the projection."""
        own = _pool(name)
        weight = next((p for step in self.steps for p in step.parameters()), None)

        def embed(hidden: Tensor, mask: Tensor) -> Tensor:
            state = own(hidden, mask)
            state = state if weight is None else state.to(weight.dtype)
            for step in self.steps:
                state = first_tensor(step(state))
            return state.float()

        return embed


def _pool(name: str) -> Pooling:
    return (lambda hidden, mask: hidden) if name == HEAD else POOLINGS[name]


def find_tower(module: TowerModule, inputs: Mapping[str, Tensor]) -> Tower:
    """Find the blocks of a tower, and explain its embedding by the modules after them.

    Args:
        module: The tower.
        inputs: Two different inputs; texts with their `attention_mask` `(2, T)`.

    Raises:
        ModelError: If there is no single list of blocks, or they do not explain the embedding.
    """
    trace = ForwardTrace()
    with torch.inference_mode(), trace.watching(module):
        embedding = module(**inputs)
    path, blocks = _find_blocks(module, trace)
    last_block = f"{path}.{len(blocks) - 1}"
    hidden = first_tensor(trace.calls[last_block].output)
    after = outermost(trace.ran_after(last_block))
    steps = [module.get_submodule(name) for name in after]
    norm = steps[0] if steps and _is_norm(steps[0], hidden) else None
    stack = LayerStack(path, blocks, norm, trace.unread(module))
    rest = tuple(steps[1:] if norm is not None else steps)
    mask = inputs.get("attention_mask", torch.ones(hidden.shape[:2], dtype=torch.long))
    with torch.inference_mode():
        for name in (*POOLINGS, HEAD):
            tower = Tower(stack, name, rest, hidden.shape[1], embedding.shape[1])
            if _makes(tower, hidden, mask, embedding=embedding):
                return tower
    raise ModelError(
        f"unsupported pooling: the {module.tower} embedding of {type(module.model).__name__} is no known pooling of "
        f"its last block's states followed by {', '.join(after) or 'nothing'}, so a cut tower cannot be verified"
    )


def _find_blocks(module: TowerModule, trace: ForwardTrace) -> tuple[str, nn.ModuleList]:
    """Return the one outermost list of modules that ran one after another, each on the output of the previous one."""
    lists = {name: m for name, m in module.named_modules() if isinstance(m, nn.ModuleList) and len(m)}
    ran = [name for name, blocks in lists.items() if all(f"{name}.{i}" in trace.calls for i in range(len(blocks)))]
    outer = outermost(ran)
    if len(outer) != 1:
        found = ", ".join(outer) or "none"
        raise ModelError(
            f"the {module.tower} tower of {type(module.model).__name__} has no single list of blocks: {found}"
        )
    return outer[0], lists[outer[0]]


def _is_norm(module: nn.Module, hidden: Tensor) -> bool:
    """Return whether a module's output is independent of the scale of its input, as for a norm."""
    with torch.inference_mode():
        try:
            once, twice = first_tensor(module(hidden)), first_tensor(module(2 * hidden))
        except _MISFITS:
            return False
    return once.shape == hidden.shape and torch.allclose(once, twice, rtol=0.01, atol=0.01 * float(once.abs().max()))


def _makes(tower: Tower, hidden: Tensor, mask: Tensor, *, embedding: Tensor) -> bool:
    """Return whether the parts of a tower reproduce its embedding."""
    state = hidden if tower.stack.final_norm is None else first_tensor(tower.stack.final_norm(hidden))
    try:
        made = tower.pooling_at(tower.pooling)(state.float(), mask)
    except _MISFITS:
        return False
    scale = max(1.0, float(embedding.abs().max()))
    return made.shape == embedding.shape and float((made - embedding).abs().max()) <= _TOLERANCE * scale
