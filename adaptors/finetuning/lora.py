"""Low-rank adaptation of an encoder's linear maps (LoRA: Hu et al., ICLR 2022), with peft."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from torch import nn

from probe.errors import CallError

if TYPE_CHECKING:
    from peft import LoraModel

__all__ = ["add_lora", "check_peft", "merge_lora"]


def check_peft() -> None:
    """Check that peft is installed.

    Raises:
        CallError: It is not.
    """
    try:
        import peft  # noqa: F401
    except ImportError as error:
        raise CallError("--lora needs peft: pip install 'encoder-surgery[lora]'") from error


def add_lora(model: nn.Module, blocks: Sequence[nn.Module], rank: int) -> "LoraModel":
    """Add LoRA matrices to every linear map of some blocks; initially they change nothing.

    alpha is twice the rank.

    Returns:
        peft's view of the model, which is changed in place; it merges the matrices.

    Raises:
        CallError: peft is not installed, or no map has a rank that high.
    """
    check_peft()
    from peft import LoraConfig, LoraModel

    maps = [module for block in blocks for module in block.modules() if isinstance(module, nn.Linear)]
    if rank > (most := max((min(one.in_features, one.out_features) for one in maps), default=rank)):
        raise CallError(f"--lora {rank} is out of range: no map in the blocks has a rank above {most}")
    inside = {id(module) for module in maps}
    names = [name for name, module in model.named_modules() if id(module) in inside]
    return LoraModel(model, LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=names), "default")


def merge_lora(adapters: "Iterable[LoraModel]") -> None:
    """Merge LoRA matrices into the weights and remove them."""
    for adapter in adapters:
        adapter.merge_and_unload()
