"""Which weights of an encoder are trained, and how fast each of them learns."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import nn

from adaptors.lora import add_lora
from adaptors.student import Student, Tower
from probe.errors import CallError

__all__ = ["Group", "Scope", "choose_weights"]


@dataclass(frozen=True)
class Scope:
    """Which weights are trained.

    Attributes:
        lora: Rank of low-rank matrices beside the blocks' linear maps, which are then all that is trained.
        top: Only so many of the last blocks, and what comes after them; all when left out.
        decay: Factor of the learning rate from a block to the one below it.
    """

    lora: int | None = None
    top: int | None = None
    decay: float = 1.0


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
    _check(scope, student)
    student.model.requires_grad_(False)
    if scope.lora is not None:
        # Two towers may be parts of one module, which low-rank matrices are put into once.
        for module in dict.fromkeys(tower.module for tower in student.towers):
            own = [tower for tower in student.towers if tower.module is module]
            add_lora(module, [block for tower in own for block in _chosen_blocks(tower, scope.top)], scope.lora)
        found = [group for tower in student.towers for group in _lora_groups(tower, scope)]
    else:
        found = [Group(tuple(_after_blocks(student))), *(g for t in student.towers for g in _groups(t, scope))]
    groups = tuple(group for group in found if group.parameters)
    for group in groups:
        for parameter in group.parameters:
            parameter.requires_grad_(True)
    return groups


def _check(scope: Scope, student: Student) -> None:
    depth = max(tower.stack.depth for tower in student.towers)
    if scope.lora is not None and scope.lora < 1:
        raise CallError(f"--lora {scope.lora} is out of range: expected a rank of 1 or more")
    if scope.top is not None and not 1 <= scope.top <= depth:
        raise CallError(f"--top {scope.top} is out of range: '{student.name}' has {depth} blocks")
    if not 0 < scope.decay <= 1:
        raise CallError(f"--decay {scope.decay:g} is out of range: expected more than 0, and 1 at most")


def _chosen_blocks(tower: Tower, top: int | None) -> Sequence[nn.Module]:
    """Return the last blocks of a tower, of which there may be fewer."""
    return list(tower.stack.blocks)[-top if top else None :]


def _after_blocks(student: Student) -> Iterator[nn.Parameter]:
    """Yield what comes after the blocks: final norms, projections, and the modules on top."""
    for tower in student.towers:
        yield from _above(tower)
    for module in list(student.model)[1:]:
        yield from module.parameters()


def _above(tower: Tower) -> Iterator[nn.Parameter]:
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
