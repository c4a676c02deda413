"""The candidates that can meet a goal, known before any training."""

from collections.abc import Iterator, Sequence

from adaptors.candidates.candidate import FEWEST_TOKENS, Candidate, ModelSizes
from adaptors.slimming.goal import SlimGoal
from probe.errors import CallError

__all__ = ["list_candidates"]

# Depths to try, as shares of the blocks; each costs a short training. Deeper ones for a high share of the quality.
_SHARES = (1 / 6, 1 / 3, 1 / 2, 2 / 3)
_HIGH_SHARES, _HIGH = (1 / 3, 1 / 2, 2 / 3, 5 / 6), 0.97
_MOST_DEPTHS = 4


def list_candidates(sizes: ModelSizes, goal: SlimGoal, depths: Sequence[int]) -> tuple[Candidate, ...]:
    """Return the candidates that can meet a goal, the smallest first.

    Args:
        sizes: Sizes of the full model.
        goal: The goal.
        depths: Numbers of blocks that are fast enough.

    Raises:
        CallError: None is small or fast enough.
    """
    chosen = _pick_depths(sizes.depth, goal, [*depths])
    found = tuple(filter(None, (_fit(sizes, blocks, goal.max_mb) for blocks in chosen)))
    if not found:
        raise CallError(f"no candidate meets the goal ({goal}): {_describe_smallest(sizes, depths)}")
    return found


def _fit(sizes: ModelSizes, blocks: int, megabytes: float | None) -> Candidate | None:
    return Candidate(blocks) if megabytes is None else sizes.fit(blocks, megabytes)


def _pick_depths(full: int, goal: SlimGoal, depths: list[int]) -> list[int]:
    """Return the depths to try: spread evenly, or the deepest ones that time or size allows."""
    spread = [blocks for blocks in dict.fromkeys(_spread(full, goal)) if blocks in depths]
    if goal.has_limit and goal.keep is None:
        inner = [blocks for blocks in depths if blocks]
        spread = inner[-_MOST_DEPTHS:] if goal.max_mb is None else inner
    return [*([0] if 0 in depths else []), *spread]


def _spread(full: int, goal: SlimGoal) -> Iterator[int]:
    for share in _HIGH_SHARES if (goal.keep or 0) >= _HIGH else _SHARES:
        blocks = round(full * share)
        if 0 < blocks < full:
            yield blocks


def _describe_smallest(sizes: ModelSizes, depths: Sequence[int]) -> str:
    if not depths:
        return "even a model without blocks takes longer; allow more milliseconds"
    least = min(sizes.count(Candidate(blocks, min(FEWEST_TOKENS, sizes.tokens))) for blocks in depths)
    smallest = f"the smallest has {least * sizes.bytes_each / 1e6:.1f} MB"
    return f"{smallest}; allow more megabytes, or save --weights-dtype float16"
