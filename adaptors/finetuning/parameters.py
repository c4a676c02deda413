"""The parameters of an encoder to train and their learning rates: blocks, layer-wise decay, LoRA."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import nn

from adaptors.finetuning.encoder import Tower, TrainableEncoder
from adaptors.finetuning.lora import add_lora, merge_lora
from probe.errors import CallError

if TYPE_CHECKING:
    from peft import LoraModel

__all__ = ["Scope", "TrainedWeights", "choose_weights"]


@dataclass(frozen=True)
class Scope:
    """The weights to train.

    Attributes:
        lora: Rank of LoRA matrices in the blocks' linear maps; nothing else is trained then.
        last_blocks: Train only this many of the last blocks, and the modules after them; default: all.
        layer_decay: Layer-wise learning-rate decay: factor from a block to the one below it.
        tower: The only tower of a two-tower model to train, `image` or `text`; default: both.
    """

    lora: int | None = None
    last_blocks: int | None = None
    layer_decay: float = 1.0
    tower: str | None = None


@dataclass(frozen=True)
class TrainedWeights:
    """The trained weights.

    Attributes:
        factors: Factor of the learning rate by name of the weight.
        adapters: peft's LoRA matrices of each transformer.
    """

    factors: Mapping[str, float]
    adapters: "tuple[LoraModel, ...]" = ()

    def learning_rates(self, rate: float) -> dict[str, float]:
        """Return the learning rates below the maximum by a pattern of weight names, for the trainer's arguments."""
        others = sorted(set(self.factors.values()) - {1.0})
        names = {factor: [re.escape(name) for name, own in self.factors.items() if own == factor] for factor in others}
        return {rf"(^|\.)({'|'.join(found)})$": factor * rate for factor, found in names.items()}

    def merge_adapters(self) -> None:
        """Merge LoRA matrices into the weights and remove them."""
        merge_lora(self.adapters)


def choose_weights(encoder: TrainableEncoder, scope: Scope) -> TrainedWeights:
    """Make the chosen weights of an encoder trainable, and no others.

    Args:
        encoder: The encoder, changed in place.
        scope: The weights to train.

    Returns:
        The weights; the last block and the modules after it have the full learning rate.

    Raises:
        CallError: A number is out of range.
    """
    towers = _chosen_towers(scope, encoder)
    _check(scope, towers, encoder.name)
    encoder.model.requires_grad_(False)
    adapters = () if scope.lora is None else tuple(_add_matrices(towers, scope.lora, scope.last_blocks))
    factors: dict[int, float] = {}
    if not adapters:
        factors |= {id(p): 1.0 for p in (*_on_top(encoder), *(p for tower in towers for p in _above(tower)))}
    for tower in towers:
        factors |= {id(p): factor for p, factor in _factors(tower, scope)}
    chosen = {name: p for name, p in encoder.model.named_parameters() if id(p) in factors}
    for parameter in chosen.values():
        parameter.requires_grad_(True)
    return TrainedWeights({name: factors[id(p)] for name, p in chosen.items()}, adapters)


def _chosen_towers(scope: Scope, encoder: TrainableEncoder) -> Sequence[Tower]:
    if scope.tower is None:
        return encoder.towers
    if not encoder.is_paired:
        raise CallError(f"--tower {scope.tower}: '{encoder.name}' is not a two-tower model: leave it out")
    towers = [tower for tower in encoder.towers if tower.name == scope.tower]
    if not towers:
        raise CallError(f"--tower {scope.tower}: expected {' or '.join(tower.name for tower in encoder.towers)}")
    return towers


def _check(scope: Scope, towers: Sequence[Tower], name: str) -> None:
    depth = max(tower.stack.depth for tower in towers)
    if scope.lora is not None and scope.lora < 1:
        raise CallError(f"--lora {scope.lora} is out of range: expected a rank of 1 or more")
    if scope.last_blocks is not None and not 1 <= scope.last_blocks <= depth:
        raise CallError(f"--last-blocks {scope.last_blocks} is out of range: '{name}' has {depth} blocks")
    if not 0 < scope.layer_decay <= 1:
        raise CallError(f"--layer-decay {scope.layer_decay:g} is out of range: expected more than 0, and 1 at most")


def _add_matrices(towers: Sequence[Tower], rank: int, top: int | None) -> "Iterator[LoraModel]":
    """Add LoRA matrices to every module once, as two towers may be parts of the same module."""
    for module in dict.fromkeys(tower.module for tower in towers):
        own = [tower for tower in towers if tower.module is module]
        yield add_lora(module, [block for tower in own for block in _chosen_blocks(tower, top)], rank)


def _chosen_blocks(tower: Tower, top: int | None) -> Sequence[nn.Module]:
    """Return the last blocks of a tower, or all if it has fewer."""
    return list(tower.stack.blocks)[-top if top else None :]


def _on_top(encoder: TrainableEncoder) -> Iterator[nn.Parameter]:
    for module in list(encoder.model)[1:]:
        yield from module.parameters()


def _above(tower: Tower) -> Iterator[nn.Parameter]:
    """Yield the parameters after a tower's blocks: the final norm, a projection."""
    for module in (tower.stack.final_norm, *tower.after):
        if module is not None:
            yield from module.parameters()


def _factors(tower: Tower, scope: Scope) -> Iterator[tuple[nn.Parameter, float]]:
    """Yield the weights of a tower's chosen blocks with their factors, and those below if all blocks are chosen.

    With LoRA, only its matrices are yielded.
    """
    for below, block in enumerate(reversed(_chosen_blocks(tower, scope.last_blocks))):
        chosen = (p for name, p in block.named_parameters() if scope.lora is None or "lora_" in name)
        yield from ((p, scope.layer_decay**below) for p in chosen)
    if scope.last_blocks is None and scope.lora is None:
        above = {id(p) for p in (*tower.stack.blocks.parameters(), *_above(tower))}
        for name, p in tower.module.named_parameters():
            if tower.stack.needs(name) and id(p) not in above:
                yield p, scope.layer_decay**tower.stack.depth
