"""Find the layer stack of any encoder by its structure and behaviour, never by its name."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from probe.errors import ModelError, first_line
from probe.layers.forward_trace import ForwardTrace, outermost

__all__ = ["LayerStack", "block_input", "dummy_inputs", "find_layers", "first_tensor"]


@dataclass(frozen=True)
class LayerStack:
    """The blocks of an encoder and what surrounds them.

    Attributes:
        path: Name of the block list inside the model, such as `encoder.layer`.
        blocks: The blocks, in order; block `k` (counted from 1) makes layer `k`.
        final_norm: The norm between the last block and the model's output, if there is one.
            It is applied at every depth, because a cut model applies it too.
        unread: Names of modules that run after the stack only (a pooler), and of parameters that no layer needs.
        joint: What makes the last layer out of the last block's output and of more, where a model of a single
            block does that (DeBERTa-v2's convolution over the embeddings and the first block).
    """

    path: str
    blocks: nn.ModuleList
    final_norm: nn.Module | None
    unread: tuple[str, ...]
    joint: nn.Module | None = None

    @property
    def depth(self) -> int:
        """Number of blocks; layers run from 0 to this."""
        return len(self.blocks)

    def needs(self, parameter: str) -> bool:
        """Whether any layer depends on the named parameter of the model."""
        return not any(f"{parameter}.".startswith(f"{name}.") for name in self.unread)

    def count_parameters(self, model: nn.Module, layer: int) -> int:
        """Count the parameters a model cut after `layer` keeps: not those above, nor what only reads the full stack."""
        removed = {id(p) for block in list(self.blocks)[layer:] for p in block.parameters()}
        kept = [p for name, p in model.named_parameters() if self.needs(name) and id(p) not in removed]
        return sum(p.numel() for p in kept)

    def parameters_by_layer(self, model: nn.Module) -> tuple[int, ...]:
        """Count the parameters a model cut after each layer would keep, from layer 0 to `depth`."""
        return tuple(self.count_parameters(model, layer) for layer in range(self.depth + 1))


def find_layers(model: nn.Module) -> LayerStack:
    """Find the layer stack: the one outermost `ModuleList` with `num_hidden_layers` members.

    Args:
        model: A transformers encoder in evaluation mode.

    Returns:
        The stack with its final norm, found on a dummy forward.

    Raises:
        ModelError: There is no such list, or more than one, or the output cannot be explained.
    """
    path, blocks = _find_blocks(model)
    trace, output = _trace_dummy_forward(model)
    last_block = next(name for name, module in model.named_modules() if module is blocks[-1])
    name, joins = _find_last_step(model, trace, last_block, output=output)
    last_step = None if name is None else model.get_submodule(name)
    ran = trace.ran_after(last_block)
    unread = tuple(other for other in ran if name is None or not f"{other}.".startswith(f"{name}."))
    return LayerStack(path, blocks, None if joins else last_step, unread, last_step if joins else None)


def _find_blocks(model: nn.Module) -> tuple[str, nn.ModuleList]:
    expected = _count_hidden_layers(model)
    lists = {name: m for name, m in model.named_modules() if isinstance(m, nn.ModuleList)}
    fitting = [name for name, blocks in lists.items() if len(blocks) == expected]
    outer = outermost(fitting)
    if len(outer) != 1:
        found = ", ".join(f"{name} ({len(blocks)})" for name, blocks in lists.items()) or "none"
        raise ModelError(
            f"{type(model).__name__} has no single list of its {expected} layers, so its layers cannot be read; "
            f"module lists found: {found}"
        )
    return outer[0], lists[outer[0]]


def _count_hidden_layers(model: nn.Module) -> int:
    config: Any = getattr(model, "config", None)
    text_config = config.get_text_config() if hasattr(config, "get_text_config") else config
    count = getattr(text_config, "num_hidden_layers", None)
    if not isinstance(count, int) or count < 1:
        raise ModelError(
            f"the config of {type(model).__name__} says num_hidden_layers = {count}: expected a number of 1 or more"
        )
    return count


def _trace_dummy_forward(model: nn.Module) -> tuple[ForwardTrace, Tensor]:
    """Return the modules that ran on a few tokens, and the model's output."""
    trace = ForwardTrace()
    try:
        with torch.inference_mode(), trace.watching(model):
            return trace, first_tensor(model(**dummy_inputs(model)))
    except (TypeError, ValueError, RuntimeError, IndexError) as error:
        raise ModelError(
            f"{type(model).__name__} does not run on plain token ids and their mask: {first_line(error)}"
        ) from error


def dummy_inputs(model: nn.Module) -> dict[str, Tensor]:
    """Return four arbitrary tokens `(1, 4)` with their mask, on the model's device."""
    device = next(model.parameters()).device
    ids = torch.arange(3, 7, device=device).unsqueeze(0)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def first_tensor(value: Any) -> Tensor:
    """Return the first tensor of a module's output or input, which may be a tensor, a tuple or a ModelOutput."""
    while not isinstance(value, Tensor):
        if not hasattr(value, "__getitem__") or len(value) == 0:
            raise ModelError(f"a layer gave a {type(value).__name__} where token states were expected")
        value = value[0]
    return value


def block_input(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    """Return the token states that a block is called with."""
    return first_tensor(args[0] if args else kwargs["hidden_states"])


def _find_last_step(
    model: nn.Module, trace: ForwardTrace, last_block: str, *, output: Tensor
) -> tuple[str | None, bool]:
    """Return the module between the last block and the output, if any, and whether it joins more to the block's."""
    if last_block not in trace.calls:
        raise ModelError(f"the layers of {type(model).__name__} do not run in its forward")
    if not bool(torch.isfinite(output).all()):
        raise ModelError(f"the weights of {type(model).__name__} give values that are not finite")
    hidden = first_tensor(trace.calls[last_block].output)
    if torch.equal(hidden, output):
        return None, False
    for name in reversed(trace.ran_after(last_block)):
        call = trace.calls[name]
        if _same(call.output, output) and any(_same(value, hidden) for value in call.args):
            return name, not _same(call.args[0], hidden)
    raise ModelError(
        f"the output of {type(model).__name__} is neither its last block's nor one module's on top of it, "
        "so a cut model could not be told from it"
    )


def _same(value: Any, expected: Tensor) -> bool:
    try:
        return torch.equal(first_tensor(value), expected)
    except ModelError:
        return False
