"""Candidates: the depths that a goal makes worth trying, and sizes that are those of the saved files."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from adaptors.candidates.candidate import Candidate, ModelSizes
from adaptors.finetuning.encoder import open_trainable
from adaptors.healing.embedding import embed_texts
from adaptors.healing.lens import add_lens
from adaptors.healing.texts import HealTexts
from adaptors.slimming.goal import SlimGoal
from adaptors.slimming.listing import list_candidates
from probe.errors import CallError
from probe.models.loading import load_model
from surgery.cutting.cut import cut

# MiniLM's.
SIZES = ModelSizes(
    depth=6,
    parameters=tuple(11_920_896 + number * 1_774_464 for number in range(7)),
    tokens=30_522,
    token_width=384,
    width=384,
    own_width=384,
    bytes_each=4,
)
ALL = range(6)


def depths(goal: SlimGoal, sizes: ModelSizes = SIZES) -> list[int]:
    return [one.blocks for one in list_candidates(sizes, goal, range(sizes.depth))]


def test_a_high_share_is_sought_among_deeper_candidates() -> None:
    assert depths(SlimGoal(keep=0.9)) == [0, 1, 2, 3, 4]
    assert depths(SlimGoal(keep=0.98)) == [0, 2, 3, 4, 5]


def test_a_short_search_tries_two_depths() -> None:
    found = list_candidates(SIZES, SlimGoal(keep=0.9), ALL, short=True)
    assert [one.blocks for one in found] == [0, 3, 4]


def test_of_twelve_blocks_four_depths_are_tried() -> None:
    deep = replace(SIZES, depth=12, parameters=tuple(range(13)))
    assert depths(SlimGoal(keep=0.98), deep) == [0, 4, 6, 8, 10]


def test_under_a_limit_of_time_fast_ones_up_to_the_deepest_are_tried() -> None:
    deep = replace(SIZES, depth=12, parameters=tuple(range(13)))
    found = list_candidates(deep, SlimGoal(max_ms=3), [0, 1, 2, 3, 4, 5, 6])
    assert [one.blocks for one in found] == [0, 2, 3, 5, 6]
    assert [one.blocks for one in list_candidates(deep, SlimGoal(max_ms=3), [0, 1, 2])] == [0, 1, 2]
    assert [one.blocks for one in list_candidates(deep, SlimGoal(keep=0.98, max_ms=3), [0, 1, 2])] == [0, 2]


def test_a_limit_of_size_trades_tokens_for_blocks() -> None:
    found = list_candidates(SIZES, SlimGoal(max_mb=40), ALL)
    assert all(SIZES.megabytes(one) <= 40 for one in found)
    shallow, deep = found[1], found[-1]
    assert (shallow.tokens or 0) - (deep.tokens or 0) == pytest.approx(
        (deep.blocks - shallow.blocks) * 1_774_464 / 384, abs=2
    )
    with_room = replace(found[-1], tokens=(found[-1].tokens or 0) + 2)
    assert SIZES.megabytes(with_room) > 40


def test_half_of_the_bytes_leave_room_for_more() -> None:
    assert list_candidates(replace(SIZES, bytes_each=2), SlimGoal(max_mb=40), [3]) == (Candidate(3),)


def test_a_size_that_nothing_has_is_refused_with_the_smallest() -> None:
    with pytest.raises(CallError, match=r"the smallest has 3\.1 MB"):
        list_candidates(SIZES, SlimGoal(max_mb=1), ALL)
    with pytest.raises(CallError, match="none is fast enough"):
        list_candidates(SIZES, SlimGoal(max_ms=0.001), [])


@pytest.mark.parametrize("blocks", [1, 2])
def test_the_size_is_that_of_the_trained_model(blocks: int, tiny_folder: Callable[[str], Path]) -> None:
    model = load_model(str(tiny_folder("bert")))
    sizes = ModelSizes.of(model, 4)
    encoder = open_trainable(cut(model, blocks))
    texts = ("apple bark", "bird blood", "boat bone")
    full = HealTexts(texts, embed_texts(open_trainable(str(tiny_folder("bert"))).model, texts), ())
    with_lens = add_lens(encoder, full, tokens=None, seed=0)
    files = sum(path.stat().st_size for path in with_lens.folder.rglob("*.safetensors"))
    # A header per file comes on top of the values.
    assert 0 <= files - sizes.count(Candidate(blocks)) * 4 < 20_000
    count = sum(tensor.numel() for tensor in with_lens.model.parameters())
    assert count == sizes.count(Candidate(blocks))


def test_names_say_what_a_candidate_is() -> None:
    assert [str(one) for one in (Candidate(0), Candidate(1), Candidate(3, 8000))] == [
        "static",
        "1 block",
        "3 blocks, 8,000 tokens",
    ]
