"""Detection of an encoder's layer stack from its structure and behaviour, independent of names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from probe.errors import ModelError, first_line
from probe.layers.forward_trace import ForwardTrace, outermost
from probe.layers.unchanged import unchanged

__all__ = ["LayerStack", "block_input", "dummy_inputs", "find_layers", "first_tensor"]


@dataclass(frozen=True)
class LayerStack:
    """The blocks of an encoder and the modules around them.

    Attributes:
        path: Name of the block list in the model, such as `encoder.layer`.
        blocks: The blocks, in order; block `k` (counted from 1) computes layer `k`.
        final_norm: The norm between the last block and the model's output, if any, followed by a projection in some
            models (OPT). It is applied at every depth, because a cut model applies it too.
        unread: Names of modules that run only after the stack (a pooler), and of parameters that no layer uses.
        joint: Module that combines the last block's output with other states into the last layer, in models with a
            single block (DeBERTa-v2's convolution over the embeddings and the first block).
        width: Dimension D of the model's output, and of every layer after the norm.
        restless: Whether a forward changes the model itself, so that earlier inputs could change later vectors.
    """

    path: str
    blocks: nn.ModuleList
    final_norm: nn.Module | None
    unread: tuple[str, ...]
    joint: nn.Module | None = None
    width: int = 0
    restless: bool = False

    @property
    def depth(self) -> int:
        """Number of blocks; layers are numbered from 0 to this."""
        return len(self.blocks)

    def needs(self, parameter: str) -> bool:
        """Return whether any layer depends on a parameter of the model."""
        return not any(f"{parameter}.".startswith(f"{name}.") for name in self.unread)

    def count_parameters(self, model: nn.Module, layer: int) -> int:
        """Count the parameters kept by a cut after `layer`: no later blocks, and no modules of the full stack only."""
        removed = {id(p) for block in list(self.blocks)[layer:] for p in block.parameters()}
        kept = [p for name, p in model.named_parameters() if self.needs(name) and id(p) not in removed]
        return sum(p.numel() for p in kept)

    def parameters_by_layer(self, model: nn.Module) -> tuple[int, ...]:
        """Count the parameters that a cut after each layer keeps, from layer 0 to `depth`."""
        return tuple(self.count_parameters(model, layer) for layer in range(self.depth + 1))


def find_layers(model: nn.Module) -> LayerStack:
    """Find the layer stack: the outermost `ModuleList` of length `num_hidden_layers` that computes the model's output.

    Args:
        model: A transformers encoder in evaluation mode; left unchanged.

    Returns:
        The stack with its final norm, found with a dummy forward.

    Raises:
        ModelError: If there is no such list, or several, or the output cannot be explained.
    """
    lists = {name: m for name, m in model.named_modules() if isinstance(m, nn.ModuleList)}
    fitting = _find_fitting(model, lists)
    trace, output, changed = _trace_dummy_forward(model)
    for path in fitting:
        _refuse_two_stacks(model, trace, path, lists=lists)
    path, (steps, joins) = _explain_output(model, trace, {path: lists[path] for path in fitting}, output=output)
    last_block = _name_last(model, lists[path])
    above = [n for n in trace.ran_after(last_block) if not any(f"{n}.".startswith(f"{step}.") for step in steps)]
    modules = [model.get_submodule(name) for name in steps]
    last_step = None if not modules else modules[0] if len(modules) == 1 else nn.Sequential(*modules)
    return LayerStack(
        path,
        lists[path],
        None if joins else last_step,
        (*above, *_find_unused(model, trace, path)),
        last_step if joins else None,
        width=output.shape[-1],
        restless=changed,
    )


def _find_fitting(model: nn.Module, lists: Mapping[str, nn.ModuleList]) -> list[str]:
    expected = _count_hidden_layers(model)
    fitting = outermost([name for name, blocks in lists.items() if len(blocks) == expected])
    if not fitting:
        raise ModelError(_say_no_single_list(model, lists))
    return fitting


def _say_no_single_list(model: nn.Module, lists: Mapping[str, nn.ModuleList]) -> str:
    found = ", ".join(f"{name} ({len(blocks)})" for name, blocks in lists.items()) or "none"
    return (
        f"{type(model).__name__} has no single list of its {_count_hidden_layers(model)} layers, so they cannot "
        f"be read; module lists found: {found}"
    )


def _count_hidden_layers(model: nn.Module) -> int:
    config: Any = getattr(model, "config", None)
    text_config = config.get_text_config() if hasattr(config, "get_text_config") else config
    count = getattr(text_config, "num_hidden_layers", None)
    if not isinstance(count, int) or count < 1:
        raise ModelError(
            f"num_hidden_layers is {count} in the config of {type(model).__name__}: expected an integer of 1 or more"
        )
    return count


def _trace_dummy_forward(model: nn.Module) -> tuple[ForwardTrace, Tensor, bool]:
    """Return the modules that ran on a few tokens, the model's output, and whether the model changed itself."""
    trace = ForwardTrace()
    try:
        with unchanged(model) as changed, torch.inference_mode(), trace.watching(model):
            output = first_tensor(model(**dummy_inputs(model)))
    except ModelError:
        raise
    except Exception as error:  # models raise many types on unexpected inputs
        raise ModelError(
            f"{type(model).__name__} does not run on token ids with a mask: {first_line(error)}"
        ) from error
    if not bool(torch.isfinite(output).all()):
        raise ModelError(f"the outputs of {type(model).__name__} are not finite: check its weights")
    return trace, output, bool(changed)


def dummy_inputs(model: nn.Module, count: int = 4) -> dict[str, Tensor]:
    """Return arbitrary tokens `(1, count)` with their mask, on the model's device."""
    device = next(model.parameters()).device
    ids = 3 + torch.arange(count, device=device).unsqueeze(0) % 4
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def first_tensor(value: Any) -> Tensor:
    """Return the first tensor of a module's input or output: a tensor, a tuple or a ModelOutput."""
    while not isinstance(value, Tensor):
        if isinstance(value, Mapping):
            value = tuple(value.values())
        if not hasattr(value, "__getitem__") or len(value) == 0:
            raise ModelError(f"a layer returned a {type(value).__name__}, expected token states")
        value = value[0]
    return value


def block_input(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    """Return the token states passed to a block."""
    return first_tensor(args[0] if args else kwargs["hidden_states"])


def _name_last(model: nn.Module, blocks: nn.ModuleList) -> str:
    last: str = next(name for name, module in model.named_modules() if module is blocks[-1])
    return last


def _refuse_two_stacks(model: nn.Module, trace: ForwardTrace, path: str, *, lists: Mapping[str, nn.ModuleList]) -> None:
    """Raise for an encoder with a decoder, where one stack continues from the states of another."""
    ran = [name for name in lists if lists[name] and all(f"{name}.{i}" in trace.calls for i in range(len(lists[name])))]
    stacks = [name for name in outermost(ran) if next(lists[name].parameters(), None) is not None]
    if path not in stacks:
        return
    others = [name for name in stacks if name != path]
    of_two = bool(getattr(getattr(model, "config", None), "is_encoder_decoder", False))
    for name in others:
        after = f"{name}.0" in trace.ran_after(f"{path}.{len(lists[path]) - 1}")
        before = f"{path}.0" in trace.ran_after(f"{name}.{len(lists[name]) - 1}")
        if after or (before and of_two):
            first, second = (path, name) if after else (name, path)
            raise ModelError(
                f"{type(model).__name__} runs {second} on the output of {first}, so its layers form two stacks: "
                "expected an encoder without a decoder"
            )


def _explain_output(
    model: nn.Module, trace: ForwardTrace, fitting: Mapping[str, nn.ModuleList], *, output: Tensor
) -> tuple[str, tuple[list[str], bool]]:
    """Return the one list whose last block computes the output, with the last steps found by `_find_last_steps`."""
    explained: dict[str, tuple[list[str], bool]] = {}
    # There may be other lists, of tables or unused; if two lists explain the output, neither is the whole stack.
    working = {path for path, blocks in fitting.items() if f"{path}.0" in trace.calls and list(blocks.parameters())}
    for path, blocks in fitting.items():
        if len(working) > 1 or path not in (working or fitting):
            continue
        try:
            explained[path] = _find_last_steps(model, trace, _name_last(model, blocks), output=output)
        except ModelError:
            if len(working or fitting) == 1:
                raise
    if len(explained) != 1:
        raise ModelError(
            _say_no_single_list(model, {n: m for n, m in model.named_modules() if isinstance(m, nn.ModuleList)})
        )
    return next(iter(explained.items()))


def _find_last_steps(
    model: nn.Module, trace: ForwardTrace, last_block: str, *, output: Tensor
) -> tuple[list[str], bool]:
    """Return the modules between the last block and the output, and whether they add other states."""
    if last_block not in trace.calls:
        raise ModelError(
            f"the layers of {type(model).__name__} are not called as modules in its forward, so they cannot be hooked"
        )
    hidden = first_tensor(trace.calls[last_block].output)
    if _same(hidden, output):
        return [], False
    for name in reversed(trace.ended_after(last_block)):
        call = trace.calls[name]
        if _same(call.output, output) and any(_same(value, hidden) for value in call.args):
            return [name], not _same(call.args[0], hidden)
    steps: list[str] = []
    for name in outermost(trace.ran_after(last_block)):
        call = trace.calls[name]
        if call.args and _same(call.args[0], hidden):
            steps.append(name)
            hidden = first_tensor(call.output)
            if _same(hidden, output):
                return steps, False
    raise ModelError(
        f"the output of {type(model).__name__} is not that of its last block or of modules on top of it, "
        "so a cut cannot be verified"
    )


def _same(value: Any, expected: Tensor) -> bool:
    """Return whether a value contains a tensor, possibly followed by padding added by the model (Longformer)."""
    try:
        found = first_tensor(value)
    except ModelError:
        return False
    if found.ndim == expected.ndim == 3:
        found = found[:, : expected.shape[1]]
    return torch.equal(found, expected)


def _find_unused(model: nn.Module, trace: ForwardTrace, path: str) -> list[str]:
    """Return the parameters outside the stack that belong to modules that never ran and that no state depends on."""
    idle = [name for name in trace.unread(model) if not name.startswith(f"{path}.")]
    parameters: Sequence[nn.Parameter] = [model.get_parameter(name) for name in idle]
    if not idle or any(parameter.is_inference() or not parameter.is_floating_point() for parameter in parameters):
        return []
    asked = [parameter.requires_grad for parameter in parameters]
    try:
        with unchanged(model), torch.inference_mode(False), torch.enable_grad():
            for parameter in parameters:
                parameter.requires_grad_(True)
            output = first_tensor(model(**dummy_inputs(model)))
            if not output.requires_grad:
                return idle
            slopes = torch.autograd.grad(output.sum(), parameters, allow_unused=True)
    except RuntimeError:  # not differentiable, so nothing is known
        return []
    finally:
        for parameter, before in zip(parameters, asked, strict=True):
            parameter.requires_grad_(before)
    return [name for name, slope in zip(idle, slopes, strict=True) if slope is None]
