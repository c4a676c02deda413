"""Low-rank matrices beside an encoder's linear maps (LoRA: Hu et al., ICLR 2022), through peft."""

from collections.abc import Sequence
from typing import Any

from torch import nn

from probe.errors import CallError

__all__ = ["add_lora", "check_peft", "merge_lora"]


def check_peft() -> None:
    """Refuse LoRA where peft is not installed.

    Raises:
        CallError: It is not.
    """
    try:
        import peft  # noqa: F401
    except ImportError as error:
        raise CallError("--lora needs peft: pip install 'encoder-surgery[lora]'") from error


def add_lora(model: nn.Module, blocks: Sequence[nn.Module], rank: int) -> None:
    """Put low-rank matrices beside every linear map of some blocks; they begin as nothing.

    Args:
        model: The transformer, changed in place.
        blocks: Its blocks to train.
        rank: Of the matrices; what they give is doubled (alpha is twice the rank).

    Raises:
        CallError: peft is not installed.
    """
    check_peft()
    from peft import LoraConfig, inject_adapter_in_model

    inside = {id(module) for block in blocks for module in block.modules() if isinstance(module, nn.Linear)}
    names = [name for name, module in model.named_modules() if id(module) in inside]
    inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=names), model)


def merge_lora(model: nn.Module) -> None:
    """Add what low-rank matrices learned to the weights they are beside, and take them away.

    Args:
        model: The transformer, changed in place; one without such matrices stays as it is.
    """
    for name, layer in list(model.named_modules()):
        if not hasattr(layer, "get_base_layer"):
            continue
        adapted: Any = layer
        adapted.merge()
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, adapted.get_base_layer())
    if hasattr(model, "peft_config"):
        del model.peft_config
