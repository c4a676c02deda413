"""The candidates that can meet a goal, known before any training."""

from collections.abc import Sequence

from adaptors.candidates.candidate import FEWEST_TOKENS, Candidate, ModelSizes
from adaptors.slimming.goal import SlimGoal
from probe.errors import CallError

__all__ = ["afford", "list_candidates"]

# Depths to try, as shares of the blocks; each costs a short training. Deeper ones for a high share of the quality.
_SHARES = (1 / 6, 1 / 3, 1 / 2, 2 / 3)
_HIGH_SHARES, _HIGH = (1 / 3, 1 / 2, 2 / 3, 5 / 6), 0.97
_SHORT_SHARES = (1 / 2, 2 / 3)
# A first training is worth its time from about as long on as the full model needs for so many texts: the lens, starts
# and held-out texts are encoded before and after it.
_NEEDED_TEXTS = 1200


def list_candidates(
    sizes: ModelSizes, goal: SlimGoal, depths: Sequence[int], *, fewest: int = FEWEST_TOKENS, short: bool = False
) -> tuple[Candidate, ...]:
    """Return the candidates that can meet a goal, the smallest first.

    Args:
        sizes: Sizes of the full model.
        goal: The goal.
        depths: Numbers of blocks that are fast enough.
        fewest: Number of tokens that a trimmed vocabulary has at least.
        short: Whether there is time for few trainings only.

    Raises:
        CallError: None is small or fast enough.
    """
    shares = _SHORT_SHARES if short else _HIGH_SHARES if (goal.keep or 0) >= _HIGH else _SHARES
    fitting = [one for blocks in depths if (one := _fit(sizes, blocks, goal.max_mb, fewest=fewest)) is not None]
    if not fitting:
        raise CallError(f"no candidate meets the goal ({goal}): {_describe_smallest(sizes, depths, fewest)}")
    static, cuts = ([one for one in fitting if bool(one.blocks) is cut] for cut in (False, True))
    if goal.keep is None:
        return (*static, *_thin(cuts, len(shares)))
    wanted = [round(sizes.depth * share) for share in shares]
    spread = [one for one in cuts if one.blocks in wanted]
    # Where time or size allows none of these, the deepest that it allows.
    return (*static, *(spread or cuts[-1:]))


def afford(candidates: Sequence[Candidate], seconds: float, *, per_text: float) -> tuple[Candidate, ...]:
    """Return the candidates for whose first trainings there is time: static ones, and at least the deepest cut.

    Shallower cuts go first: they need the longest training.

    Args:
        candidates: The candidates, the smallest first.
        seconds: Time of all first trainings together.
        per_text: Seconds that the full model needs per text.
    """
    count = max(1, int(seconds / (_NEEDED_TEXTS * per_text)))
    cuts = [one for one in candidates if one.blocks]
    dropped = cuts[: max(0, len(cuts) - count)]
    return tuple(one for one in candidates if one not in dropped)


def _fit(sizes: ModelSizes, blocks: int, megabytes: float | None, *, fewest: int) -> Candidate | None:
    return Candidate(blocks) if megabytes is None else sizes.fit(blocks, megabytes, fewest)


def _thin(candidates: Sequence[Candidate], count: int) -> list[Candidate]:
    """Return some of the candidates, spread evenly and with the deepest."""
    step = max(1.0, len(candidates) / count)
    places = {len(candidates) - 1 - int(step * number) for number in range(min(count, len(candidates)))}
    return [candidates[place] for place in sorted(places)]


def _describe_smallest(sizes: ModelSizes, depths: Sequence[int], fewest: int) -> str:
    if not depths:
        return "none is fast enough; allow more milliseconds"
    least = min(sizes.count(Candidate(blocks, min(fewest, sizes.tokens))) for blocks in depths)
    smallest = f"the smallest has {least * sizes.bytes_each / 1e6:.1f} MB"
    return f"{smallest}; allow more megabytes, or save --weights-dtype float16"
