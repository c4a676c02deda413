"""Which parameters of an encoder are trained, and how fast: blocks, layer-wise decay, low-rank matrices (LoRA)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from adaptors.student import Student, Tower
from probe.errors import CallError

__all__ = ["Group", "Scope", "add_lora", "check_peft", "choose_weights", "merge_lora"]


@dataclass(frozen=True)
class Scope:
    """Which weights are trained.

    Attributes:
        lora: Rank of low-rank matrices beside the blocks' linear maps, which are then all that is trained.
        top: Only so many of the last blocks, and what comes after them; all when left out.
        decay: Factor of the learning rate from a block to the one below it.
        tower: The only tower to train, `image` or `text`, of a two-tower model; both when left out.
    """

    lora: int | None = None
    top: int | None = None
    decay: float = 1.0
    tower: str | None = None


@dataclass(frozen=True)
class Group:
    """Weights that learn equally fast.

    Attributes:
        parameters: The weights.
        factor: Of the learning rate.
    """

    parameters: tuple[nn.Parameter, ...]
    factor: float = 1.0


def choose_weights(student: Student, scope: Scope) -> tuple[Group, ...]:
    """Make the chosen weights of an encoder trainable, and no others.

    Args:
        student: The encoder, changed in place.
        scope: Which weights.

    Returns:
        The weights by learning rate; the last block, and what comes after it, learn at the whole.

    Raises:
        CallError: A number is out of range.
    """
    towers = _chosen_towers(scope, student)
    _check(scope, towers, student.name)
    student.model.requires_grad_(False)
    if scope.lora is not None:
        _add_matrices(towers, scope.lora, scope.top)
        found = [group for tower in towers for group in _lora_groups(tower, scope)]
    else:
        after = Group((*(p for tower in towers for p in _above(tower)), *_on_top(student)))
        found = [after, *(group for tower in towers for group in _groups(tower, scope))]
    groups = tuple(group for group in found if group.parameters)
    for group in groups:
        for parameter in group.parameters:
            parameter.requires_grad_(True)
    return groups


def _chosen_towers(scope: Scope, student: Student) -> Sequence[Tower]:
    if scope.tower is None:
        return student.towers
    if not student.is_paired:
        raise CallError(f"--tower {scope.tower}: '{student.name}' has no towers for images and texts: leave it out")
    towers = [tower for tower in student.towers if tower.name == scope.tower]
    if not towers:
        raise CallError(f"--tower {scope.tower}: expected {' or '.join(tower.name for tower in student.towers)}")
    return towers


def _check(scope: Scope, towers: Sequence[Tower], name: str) -> None:
    depth = max(tower.stack.depth for tower in towers)
    if scope.lora is not None and scope.lora < 1:
        raise CallError(f"--lora {scope.lora} is out of range: expected a rank of 1 or more")
    if scope.top is not None and not 1 <= scope.top <= depth:
        raise CallError(f"--top {scope.top} is out of range: '{name}' has {depth} blocks")
    if not 0 < scope.decay <= 1:
        raise CallError(f"--decay {scope.decay:g} is out of range: expected more than 0, and 1 at most")


def _add_matrices(towers: Sequence[Tower], rank: int, top: int | None) -> None:
    """Put low-rank matrices into every module once, which two towers may be parts of."""
    for module in dict.fromkeys(tower.module for tower in towers):
        own = [tower for tower in towers if tower.module is module]
        add_lora(module, [block for tower in own for block in _chosen_blocks(tower, top)], rank)


def _chosen_blocks(tower: Tower, top: int | None) -> Sequence[nn.Module]:
    """Return the last blocks of a tower, of which there may be fewer."""
    return list(tower.stack.blocks)[-top if top else None :]


def _on_top(student: Student) -> Iterator[nn.Parameter]:
    for module in list(student.model)[1:]:
        yield from module.parameters()


def _above(tower: Tower) -> Iterator[nn.Parameter]:
    """Yield what comes after a tower's blocks: the final norm, a projection."""
    for module in (tower.stack.final_norm, *tower.after):
        if module is not None:
            yield from module.parameters()


def _groups(tower: Tower, scope: Scope) -> Iterator[Group]:
    yield from _block_groups(tower, scope)
    if scope.top is None:
        above = {id(p) for p in (*tower.stack.blocks.parameters(), *_above(tower))}
        below = [p for n, p in tower.module.named_parameters() if tower.stack.needs(n) and id(p) not in above]
        yield Group(tuple(below), scope.decay**tower.stack.depth)


def _block_groups(tower: Tower, scope: Scope) -> Iterator[Group]:
    for below, block in enumerate(reversed(_chosen_blocks(tower, scope.top))):
        yield Group(tuple(block.parameters()), scope.decay**below)


def _lora_groups(tower: Tower, scope: Scope) -> Iterator[Group]:
    for group, block in zip(_block_groups(tower, scope), reversed(_chosen_blocks(tower, scope.top)), strict=True):
        yield Group(tuple(p for name, p in block.named_parameters() if "lora_" in name), group.factor)


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
