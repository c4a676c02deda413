"""Rebuild a cut model from its config, as loading it will, and reject the cut if the states differ."""

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

# Maximum absolute difference of states, for values of about 1.
_TOLERANCE = 1e-5
_TOKENS = (4, 21)


@dataclass(frozen=True)
class Rebuilt:
    """The config changes that rebuild a cut model.

    Attributes:
        changes: Config values that differ from the original's.
        left_out: Tensors that the config does not build and that no state depends on.
    """

    changes: dict[str, Any]
    left_out: tuple[str, ...] = ()


def fit_config(module: nn.Module, original: nn.Module, name: str, *, path: str, chosen: Sequence[int]) -> Rebuilt:
    """Adapt a model's config to the remaining blocks, so that it rebuilds the same model.

    Args:
        module: A copy of the original with the chosen blocks only; its config is changed in place.
        original: The full model.
        name: The model's name in messages.
        path: Name of its block list.
        chosen: The remaining blocks, counted from 1.

    Raises:
        ModelError: No config rebuilds it.
    """
    config: Any = module.config
    inner = named_inside(config)
    whole: Any = original.config
    depth = len(list(original.get_submodule(path).children()))

    def try_out(changes: dict[str, Any]) -> None:
        """Build and run the full model from a config with the given changes."""
        built, _ = build(original, change_config(whole, changes, inner))
        _states(built)

    refusals = []
    for changes in block_changes(whole, inner, depth=depth, chosen=chosen, try_out=try_out):
        try:
            made = change_config(whole, changes, inner)
            built, left_out = build(module, made)
        except Exception as error:  # third-party config or model code may raise anything
            refusals.append(f"its config cannot describe them ({_reason(error)})")
            continue
        adopt(config, made, inner)
        refusal = _compare(module, built, left_out)
        if refusal is None:
            return Rebuilt(changes, left_out)
        refusals.append(refusal)
    hint = "" if 1 in chosen else "; keep block 1"
    raise ModelError(f"'{name}' cannot be reduced to the blocks {','.join(map(str, chosen))}: {refusals[0]}{hint}")


def build(module: nn.Module, config: Any) -> tuple[nn.Module, tuple[str, ...]]:
    """Build a model from a config with shared tensors of another model; missing tensors are filled with NaN.

    Returns:
        The model, and the names of the other model's tensors that it does not have.
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
    """Return the first difference between a model and its rebuilt copy, or None."""
    try:
        expected, found = _states(module), _states(built)
    except Exception as error:  # third-party model code may raise anything
        return f"they do not run on their own ({_reason(error)})"
    given = module.state_dict()
    lacking = [name for name, value in built.state_dict().items() if _shape(value) != _shape(given.get(name))]
    for one, other in zip(expected, found, strict=True):
        difference = float((one - other).abs().max()) / max(1.0, float(one.abs().max()))
        if difference <= _TOLERANCE:
            continue
        if lacking:
            return f"rebuilt from its config, the model needs the tensor {lacking[0]}, which they do not have"
        if left_out:
            return f"rebuilt from its config, the model lacks the tensor {left_out[0]}, which they need"
        return (
            f"rebuilt from its config, the model gives different states (by {difference:.1e}): a block depends on its "
            "position or on the number of blocks"
        )
    return None


def _reason(error: Exception) -> str:
    """Return one line of an error: the first, or the last if the first ends with a colon (config validators)."""
    said = first_line(error)
    if said.endswith(":"):
        said = str(error).strip().splitlines()[-1].strip()
    return f"{type(error).__name__}: {said}"


def _states(module: nn.Module) -> list[Tensor]:
    with unchanged(module), torch.inference_mode():
        return [first_tensor(module(**dummy_inputs(module, count))).float() for count in _TOKENS]
