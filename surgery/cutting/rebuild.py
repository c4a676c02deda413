"""Build a cut model again from its config, as whoever loads it will, and compare: what is not the same is refused."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from probe.errors import ModelError, first_line
from probe.layers.layer_stack import dummy_inputs, first_tensor
from probe.layers.unchanged import unchanged
from surgery.cutting.config import adopt, block_changes, change_config, named_inside

__all__ = ["Rebuilt", "build", "fit_config"]

# Greatest absolute difference of states, for values of about 1.
_TOLERANCE = 1e-5
_TOKENS = (4, 21)


@dataclass(frozen=True)
class Rebuilt:
    """What makes a cut model again.

    Attributes:
        changes: What its config says otherwise than the original's.
        left_out: Tensors that its config does not build, and on which no state depends.
    """

    changes: dict[str, Any]
    left_out: tuple[str, ...] = ()


def fit_config(module: nn.Module, original: nn.Module, name: str, *, path: str, chosen: Sequence[int]) -> Rebuilt:
    """Make a model's config count the blocks that are left, so that it builds the same model again.

    Args:
        module: A copy of the original without the other blocks; its config is changed.
        original: The whole model.
        name: What the caller calls it.
        path: Name of its block list.
        chosen: The blocks that are left, counted from 1.

    Raises:
        ModelError: No config was found that builds it.
    """
    config: Any = module.config
    inner = named_inside(config)
    whole: Any = original.config
    depth = len(list(original.get_submodule(path).children()))

    def try_out(changes: dict[str, Any]) -> None:
        """Build and run the whole model from a config with some changes."""
        built, _ = build(original, change_config(whole, changes, inner))
        _states(built)

    refusals = []
    for changes in block_changes(whole, inner, depth=depth, chosen=chosen, try_out=try_out):
        try:
            made = change_config(whole, changes, inner)
            built, left_out = build(module, made)
        except Exception as error:  # whatever a foreign config or model raises
            refusals.append(f"its config cannot count them ({_reason(error)})")
            continue
        adopt(config, made, inner)
        refusal = _compare(module, built, left_out)
        if refusal is None:
            return Rebuilt(changes, left_out)
        refusals.append(refusal)
    hint = "" if 1 in chosen else "; keep block 1"
    raise ModelError(f"'{name}' cannot be reduced to the blocks {','.join(map(str, chosen))}: {refusals[0]}{hint}")


def build(module: nn.Module, config: Any) -> tuple[nn.Module, tuple[str, ...]]:
    """Build a model from a config with the tensors of another, which are shared; those that it lacks are NaN.

    Returns:
        The model, and the names of the other's tensors that found no place in it.
    """
    from transformers.initialization import no_init_weights

    with no_init_weights():
        built: nn.Module = type(module)(config).eval()
    given, wanted = module.state_dict(), built.state_dict()
    fitting = {name: tensor for name, tensor in given.items() if _shape(wanted.get(name)) == tensor.shape}
    with torch.no_grad():
        for name in wanted.keys() - fitting.keys():
            if wanted[name].is_floating_point():
                wanted[name].fill_(torch.nan)
    built.load_state_dict(fitting, strict=False, assign=True)
    example = next(p for p in module.parameters() if p.is_floating_point())
    return built.to(example.device, example.dtype), tuple(sorted(given.keys() - fitting.keys()))


def _shape(tensor: Tensor | None) -> Any:
    return None if tensor is None else tensor.shape


def _compare(module: nn.Module, built: nn.Module, left_out: Sequence[str]) -> str | None:
    """Return what is wrong with a model that was built again, if anything."""
    try:
        expected, found = _states(module), _states(built)
    except Exception as error:  # whatever a foreign model raises
        return f"they do not run by themselves ({_reason(error)})"
    given = module.state_dict()
    lacking = [name for name, value in built.state_dict().items() if _shape(value) != _shape(given.get(name))]
    for one, other in zip(expected, found, strict=True):
        difference = float((one - other).abs().max()) / max(1.0, float(one.abs().max()))
        if difference <= _TOLERANCE:
            continue
        if lacking:
            return f"a model of them needs the tensor {lacking[0]}, which they do not have"
        if left_out:
            return f"a model of them has no place for the tensor {left_out[0]}, which they need"
        return (
            "built again from its config, they give other states: a block computes by its place or by the number of "
            f"blocks (they differ by {difference:.1e})"
        )
    return None


def _reason(error: Exception) -> str:
    """Return a line of an error; a config's validator says what is wrong in its last one."""
    said = first_line(error)
    if said.endswith(":"):
        said = str(error).strip().splitlines()[-1].strip()
    return f"{type(error).__name__}: {said}"


def _states(module: nn.Module) -> list[Tensor]:
    with unchanged(module), torch.inference_mode():
        return [first_tensor(module(**dummy_inputs(module, count))).float() for count in _TOKENS]
